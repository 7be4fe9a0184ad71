//! `--flip`: one namespace at a time is toggled, and its own wall must follow.
