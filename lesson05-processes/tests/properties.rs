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

/// What a bin prints, and the numbers in a line of it.
fn output_of(bin: &str, arguments: &[&str]) -> String {
    let run = transcript::run(bin, arguments).success();
    String::from_utf8_lossy(&run.get_output().stdout).into_owned()
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let words = text.split(|c: char| !is_part(c)).filter(|word| !word.is_empty());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_name_has_the_length_of_the_list_at_that_time_or_later() {
    let output = output_of("manager_list_dict", &[]);
    let line = |label: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("{output}")).to_string()
    };
    let names: Vec<usize> = numbers(&line("Shared list: "));
    let dict: Vec<usize> = numbers(&line("Shared dict: "));
    let (mut sorted, keys) = (names.clone(), [2, 3, 4]);
    sorted.sort_unstable();
    assert_eq!(sorted, keys, "{output}");
    for (place, name) in (1..).zip(names) {
        let entry = dict.chunks_exact(2).find(|entry| entry[0] == name);
        let value = entry.unwrap_or_else(|| panic!("{output}"))[1];
        assert!((place..=3).contains(&value), "{name} has {value}\n{output}");
    }
}

#[test]
fn what_is_read_and_written_in_two_steps_may_be_lost() {
    let output = output_of("manager_value_array", &[]);
    assert_eq!(output.lines().count(), 26, "{output}");
    let first = "Initial shared_int: 0\nInitial shared_float_array: [1.0, 2.5, 3.0]\n";
    assert!(output.starts_with(first), "{output}");
    for process in 0..3 {
        let label = format!("Process {process}: Value incremented to ");
        let values: Vec<u32> =
            output.lines().filter_map(|line| line.strip_prefix(&label)?.parse().ok()).collect();
        assert!(values.len() == 5 && values.iter().all(|v| (1..=15).contains(v)), "{output}");
    }
    let starts = [1.0, 2.5, 3.0];
    let is_later = |value: f64, start: f64| [1.0, 2.0, 3.0].contains(&(value - start));
    for process in 0..2 {
        for (index, start) in starts.into_iter().enumerate() {
            let label = format!("Process {process}: Array[{index}] updated to ");
            let value = output.lines().find_map(|line| line.strip_prefix(&label)?.parse().ok());
            assert!(value.is_some_and(|value| is_later(value, start)), "{output}");
        }
    }
    let last = |label: &str| {
        numbers::<f64>(output.lines().find_map(|line| line.strip_prefix(label)).unwrap_or(""))
    };
    assert!((2.0..=15.0).contains(&last("Final shared_int: ")[0]), "{output}");
    let array = last("Final shared_float_array: ");
    assert_eq!(array.len(), 3, "{output}");
    assert!(array.into_iter().zip(starts).all(|(value, start)| is_later(value, start)), "{output}");
}

/// The log lines before the list, each with its seconds, and the list itself.
fn timed_sums(output: &str) -> (Vec<(String, f64)>, Vec<u64>) {
    let (lines, list) = output.trim_end().rsplit_once('\n').unwrap_or_else(|| panic!("{output}"));
    let step = |line: &str| {
        let (text, seconds) = line.split_once("| ")?.1.rsplit_once(" = ")?;
        Some((text.to_string(), seconds.parse().ok()?))
    };
    let steps = lines.lines().map(|line| step(line).unwrap_or_else(|| panic!("{output}")));
    (steps.collect(), numbers(list))
}

fn one_hundred_sums() -> Vec<u64> {
    (100_000..100_100).map(|x: u64| x * (x + 1) / 2).collect()
}

#[test]
fn results_that_are_asked_for_stand_in_the_order_of_the_calls() {
    let output = output_of("pool_apply_async_large", &["100000"]);
    let (steps, sums) = timed_sums(&output);
    assert_eq!(steps.len(), 1, "{output}");
    assert_eq!(steps[0].0, "Finished: ", "{output}");
    assert_eq!(sums, one_hundred_sums(), "{output}");
}

#[test]
fn a_callback_collects_every_sum_once_and_the_clock_goes_forward() {
    let output = output_of("pool_callback", &["100000"]);
    let (steps, mut sums) = timed_sums(&output);
    let texts: Vec<&str> = steps.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["Before For loop", "After For loop", "Finished: "], "{output}");
    assert!(steps.is_sorted_by_key(|(_, seconds)| *seconds), "{output}");
    sums.sort_unstable();
    assert_eq!(sums, one_hundred_sums(), "{output}");
}

#[test]
fn jobs_are_added_over_three_seconds() {
    let output = output_of("pool_callback_incremental", &[]);
    let (steps, sums) = timed_sums(&output);
    assert!(steps.len() == 1 && steps[0].1 >= 3.0, "{output}");
    assert_eq!(sums.len(), 4, "{output}");
}

#[test]
fn each_of_four_processes_uses_the_resource_once() {
    let output = output_of("semaphore_resource", &[]);
    for what in ["is accessing the resource", "released the resource"] {
        let lines = output.lines().filter(|line| line.ends_with(what));
        let mut processes: Vec<u32> = lines.flat_map(numbers).collect();
        processes.sort_unstable();
        assert_eq!(processes, [0, 1, 2, 3], "{what}\n{output}");
    }
}
