//! What a header cannot promise: how the values of an output belong together.

#[test]
fn a_process_may_use_some_or_all_of_the_processors() {
    let run = transcript::run("cpu_count", &[]).success();
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let number = |label: &str| -> usize {
        let number = output.lines().find_map(|line| line.strip_prefix(label));
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{output}"))
    };
    let (count, usable) = (number("cpu_count: "), number("usable by this process: "));
    assert!(1 <= usable && usable <= count, "{output}");
}
