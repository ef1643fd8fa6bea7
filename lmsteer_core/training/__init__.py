"""From a source of style to a calibrated steer."""
