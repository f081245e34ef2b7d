"""Looking at the bytes of a page without a DOM: scan into blocks, block features and model, head, prescans."""
