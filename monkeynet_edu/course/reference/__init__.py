"""Reference implementations for exercises whose library function is a single call; tests prove them equal to it."""
