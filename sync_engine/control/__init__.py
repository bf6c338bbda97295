"""What people may see and do: who they are, what they may ask for, and carrying it out with every check made again."""
