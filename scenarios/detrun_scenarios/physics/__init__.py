"""Rigid bodies in the plane: contacts, friction, joints, stepped by worker tasks and differentiated through impacts."""
