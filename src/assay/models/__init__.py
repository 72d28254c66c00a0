"""One architecture, one file of code and one card beside it; `build` makes them."""
