"""Models of the paper, on stock transformers parts. Importing this imports none of them."""
