"""The commands, a module for each subject. They import what they need when they run: `faregate --help` must be quick."""
