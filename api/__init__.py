"""HTTP: routes and schemas over commands and projections."""
