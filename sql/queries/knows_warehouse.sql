SELECT EXISTS (SELECT FROM stock WHERE warehouse = :warehouse) AS known
