//! The compiler beside other readings of the same policy: a plain one, seccompiler's programs, and
//! libseccomp's numbers.

mod compiler;
mod filter;
mod machine;
mod numbers;
mod reading;
