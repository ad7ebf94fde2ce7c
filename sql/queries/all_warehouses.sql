SELECT code, name, rank, closed FROM warehouse WHERE merged_into IS NULL ORDER BY code
