"""From logits to decisions: calibration, the gate, costs, and the learned gate."""
