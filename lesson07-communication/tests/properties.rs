//! What a header cannot promise: how the values of an output belong together.

#[test]
fn threads_see_one_list_that_grows() {
    let run = transcript::run("threads_shared_list", &[]).success();
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let mut before = vec![0; 3];
    for line in output.lines().filter(|line| line.starts_with("Process ")) {
        let (_, list) = line.split_once(": ").unwrap_or_else(|| panic!("{output}"));
        let numbers = list.trim_matches(['[', ']']).split(", ");
        let list: Vec<i32> = numbers.map(|number| number.parse().expect("a number")).collect();
        assert!(list.iter().zip(&before).all(|(now, before)| (*before..=10).contains(now)));
        assert_eq!(list.len(), 3, "{output}");
        before = list;
    }
    assert_eq!(before, [10; 3], "the last thread sees the work of all:\n{output}");
}
