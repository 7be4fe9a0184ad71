//! What CMD sees, and how its end is reported.

mod callers;
mod ends;
mod network;
mod sees;
mod words;
