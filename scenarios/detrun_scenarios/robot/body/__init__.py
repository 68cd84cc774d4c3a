"""The robot's body and the node that it carries: drive, arm, sensors, actuators and the watchdog."""
