//! verify of every combination of namespaces: a sample of them is tried with every change.

use crate::need;
use crate::support::with_a_user_namespace;
use crate::verify::combinations::{each_wall_is_what_was_ordered, each_wall_of_nobody_is_told};

#[test]
fn of_all_256_combinations_each_wall_is_what_was_ordered_and_what_its_inodes_say() {
    need!(root);
    each_wall_is_what_was_ordered((0..256).collect());
}

#[test]
fn of_all_128_that_nobody_may_start_each_wall_is_told() {
    need!(root);
    each_wall_of_nobody_is_told(with_a_user_namespace());
}
