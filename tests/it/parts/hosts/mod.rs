//! Hosts that this one is not, as virtual machines: kernels of Debian, with and without systemd,
//! as root and as plain users. What they lack is named, and what they give works.

mod aarch64; // another architecture
mod case; //    a script in a machine, and what must come of it
mod kernels; // each kernel with everything, and one that is too old
mod lacking; // a host without this or that
mod machine; // a virtual machine of scripts/vm
mod systemd; // units, sessions, READY and the exit code
