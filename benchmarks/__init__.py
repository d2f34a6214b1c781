"""How fast the queue is beside a hand-written loop on the driver: ratios, measured side by side in one run."""
