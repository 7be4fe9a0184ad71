//! The container's own terminal, seen from a pty that plays the user's.

mod keys;
mod modes;
mod screen;
mod shell;
mod streams;
