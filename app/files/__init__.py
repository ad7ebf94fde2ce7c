"""Files as shops and warehouses write them: one reader for every command and route that takes CSV.

It takes what is certain, however it is written (encoding, delimiter, line ends, names of columns), and refuses with
line, column and value what is not. It knows no store and no web framework.
"""
