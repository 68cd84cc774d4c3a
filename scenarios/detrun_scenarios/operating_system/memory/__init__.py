"""Virtual memory: frames, page tables, what happens at a fault, and which page leaves when frames are short."""
