//! Every step failing, rustic killed at every moment, limits of every size: one clear error, and
//! nothing left behind.

mod calls;
mod killed;
mod limits;
mod steps;
