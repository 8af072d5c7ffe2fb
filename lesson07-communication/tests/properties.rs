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

#[test]
fn a_managers_list_grows_for_all() {
    let run = transcript::run("manager_list", &[]).success();
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let mut lists = Vec::new();
    for line in output.lines().filter(|line| line.starts_with("Process ")) {
        let (_, list) = line.split_once(": ").unwrap_or_else(|| panic!("{output}"));
        let numbers = list.trim_matches(['[', ']']).split(", ");
        lists.push(numbers.map(|number| number.parse().expect("a number")).collect::<Vec<i32>>());
    }
    assert_eq!(lists.len(), 3, "{output}");
    // Each is a look at one list, earlier or later: of two, one is behind in no element.
    let is_behind = |one: &[i32], other: &[i32]| one.iter().zip(other).all(|(a, b)| a <= b);
    for one in &lists {
        assert!(one.iter().all(|number| (0..=10).contains(number)), "{output}");
        for other in &lists {
            assert!(is_behind(one, other) || is_behind(other, one), "{output}");
        }
    }
}
