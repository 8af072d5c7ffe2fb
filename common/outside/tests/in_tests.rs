common::init_in_tests!();

#[test]
fn a_child_has_its_argument() {
    let child = common::Process::new(|x: i32| x + 1, 1).start().unwrap();
    assert_eq!(child.join().unwrap().code(), Some(2));
}
