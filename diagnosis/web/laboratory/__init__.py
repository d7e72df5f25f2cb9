"""The laboratory's figures: the page, its tables to take away, and the images behind an override rate."""
