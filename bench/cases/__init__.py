"""One file a family of cases; each measures its contenders in turn."""
