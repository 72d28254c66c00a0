"""The checks that every entry passes, public, so that other people's models can be held to them."""
