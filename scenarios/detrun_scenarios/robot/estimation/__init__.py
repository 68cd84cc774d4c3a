"""Where the robot believes to be: an extended Kalman filter, late measurements, the other node's clock."""
