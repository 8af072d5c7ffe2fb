//! common in the unit tests of a library.

#[cfg(test)]
mod tests {
    common::init_in_tests!();

    #[test]
    fn a_unit_test_starts_a_process() {
        let child = common::Process::new(|x: i32| x + 1, 1).start().unwrap();
        assert_eq!(child.join().unwrap().code(), Some(2));
    }
}
