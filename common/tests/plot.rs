//! What is seen on a plot: texts, where points lie, how high bars are.

use common::plot::{PlotError, Plots};
use std::io::ErrorKind;

/// What stands between `before` and the next `after`, for each `before`.
fn all<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split_once(after)).map(|(inside, _)| inside).collect()
}

/// The value of an attribute of an element.
fn attribute<'t>(element: &'t str, name: &str) -> &'t str {
    all(element, &format!(" {name}=\""), "\"").first().copied().unwrap_or_default()
}

fn pixel(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// The texts of an SVG file.
fn texts(svg: &str) -> Vec<&str> {
    all(svg, "<text", "</text>")
        .into_iter()
        .filter_map(|t| t.split_once('>'))
        .map(|t| t.1.trim())
        .collect()
}

fn lines_of_six() -> Plots {
    let series = ["one", "two", "three", "four", "five", "six"];
    let plot = Plots::new("Speed & <size>").x_label("processes").y_label("times faster");
    series.into_iter().zip(1..).fold(plot, |plot, (name, factor)| {
        plot.line(name, (1..=5).map(|x| (x.into(), f64::from(x * factor))))
    })
}

#[test]
fn lines_have_texts_marks_and_their_places() {
    let svg = lines_of_six().svg().unwrap();
    let texts = texts(&svg);
    let expected = [
        "Speed &amp; &lt;size&gt;",
        "processes",
        "times faster",
        "one",
        "six",
        "0",
        "30",
        "1",
        "5",
    ];
    for expected in expected {
        assert!(texts.contains(&expected), "{expected:?} is not in {texts:?}");
    }
    let lines: Vec<Vec<(f64, f64)>> = all(&svg, "<polyline", "/>")
        .into_iter()
        .map(|line| attribute(line, "points").split_whitespace())
        .map(|points| points.filter_map(|point| point.split_once(',')))
        .map(|points| points.map(|(x, y)| (pixel(x), pixel(y))).collect::<Vec<_>>())
        .filter(|line| line.len() == 5)
        .collect();
    assert_eq!(lines.len(), 6, "a line of five points for each series");
    let zero = {
        // The first series rises by one, the sixth by six: the same scale for both.
        let (first, last) = (lines[0][0].1, lines[0][4].1);
        let unit = (first - last) / 4.0;
        assert!(unit > 5.0);
        for (line, factor) in lines.iter().zip(1..) {
            for (point, x) in line.iter().zip(1..) {
                let expected = first + unit - unit * f64::from(factor * x);
                assert!((point.1 - expected).abs() <= 6.0 * 1.5, "{point:?} is not at {expected}");
                assert_eq!(point.0, lines[0][x as usize - 1].0, "the same x for all");
            }
        }
        first + unit
    };
    assert!(lines.iter().flatten().all(|point| point.1 < zero && point.0 > 0.0));
    assert!(lines[0].is_sorted_by(|left, right| left.0 < right.0));
    // Without their colours: circles, three kinds of polygons, and two of crosses.
    assert_eq!(all(&svg, "<circle", "/>").len(), 5 + 1);
    let corners = |polygon: &&str| attribute(polygon, "points").split_whitespace().count();
    let polygons: Vec<usize> = all(&svg, "<polygon", "/>").iter().map(corners).collect();
    assert_eq!(polygons.len(), 3 * (5 + 1), "{polygons:?}");
    assert_eq!(polygons.iter().filter(|&&count| count == 3).count(), 5 + 1);
}

#[test]
fn a_grid_can_be_left_out() {
    let grid = "stroke=\"#D6D6D6\"";
    let visible = |svg: &str| {
        let lines = all(svg, "<line", "/>").into_iter();
        lines.filter(|line| line.contains(grid) && attribute(line, "opacity") == "1").count()
    };
    assert!(visible(&lines_of_six().svg().unwrap()) >= 8);
    assert_eq!(visible(&lines_of_six().without_grid().svg().unwrap()), 0);
}

fn bars() -> Plots {
    Plots::new("Starting a process")
        .y_label("microseconds")
        .bars_with_errors("Python", [("fork", 1000.0, 100.0), ("spawn", 4000.0, 0.0)])
        .bars("Rust", [("fork", 500.0), ("spawn", 2000.0)])
}

#[test]
fn bars_are_as_high_as_their_values() {
    let svg = bars().svg().unwrap();
    let texts = texts(&svg);
    for expected in ["fork", "spawn", "Python", "Rust", "1000", "500", "2000", "microseconds"] {
        assert!(texts.contains(&expected), "{expected:?} is not in {texts:?}");
    }
    let outlines: Vec<(f64, f64)> = all(&svg, "<rect", "/>")
        .into_iter()
        .filter(|rect| attribute(rect, "fill") == "none")
        .map(|rect| (pixel(attribute(rect, "x")), pixel(attribute(rect, "height"))))
        .collect();
    // Two of them show the series beside their names.
    assert_eq!(outlines.len(), 4 + 2, "{outlines:?}");
    let [fork, spawn, rust_fork, rust_spawn] = [0, 1, 2, 3].map(|place: usize| outlines[place]);
    assert!(fork.0 < rust_fork.0 && rust_fork.0 < spawn.0 && spawn.0 < rust_spawn.0);
    for (bar, times) in [(spawn, 4.0), (rust_fork, 0.5), (rust_spawn, 2.0)] {
        assert!((bar.1 - fork.1 * times).abs() <= 3.0, "{} and {} x {times}", bar.1, fork.1);
    }
    // The second series has a pattern, whatever its colour.
    assert!(all(&svg, "<polyline", "/>").iter().any(|line| line.contains("#D55E00")));
    // The value that may vary has a bar of black for that, with caps.
    let black = all(&svg, "<polyline", "/>").into_iter();
    let black =
        black.filter(|line| line.contains("#000000") && line.contains("stroke-width=\"2\""));
    assert_eq!(black.count(), 2 * 3);
}

/// The size and the pixels of a PNG file.
fn decoded(bytes: &[u8]) -> ((u32, u32), Vec<[u8; 3]>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    ((info.width, info.height), pixels.as_chunks().0.to_vec())
}

#[test]
fn a_png_shows_the_same() {
    let ((width, height), pixels) = decoded(&bars().size(800, 500).png().unwrap());
    assert_eq!((width, height), (800, 500));
    let column = |x: usize, colour: [u8; 3]| {
        let column = pixels.iter().skip(x).step_by(width as usize);
        column.filter(|&&pixel| pixel == colour).count()
    };
    let blue: Vec<usize> = (0..width as usize).map(|x| column(x, [0, 114, 178])).collect();
    // Two bars of Python's, of which one is four times as high; what marks the series is at the right.
    let plot = &blue[..600];
    let first = plot.iter().position(|&count| count > 20).unwrap();
    let low = plot[first + 5];
    let high = plot.iter().copied().max().unwrap();
    assert!(high.abs_diff(4 * low) <= 12, "{low} and {high} pixels");
    assert!(blue[600..].iter().any(|&count| count > 8), "the series is named with its colour");
    // There is a title, and it is of letters: dark pixels between light ones.
    let rows = &pixels[..width as usize * 45];
    let dark = rows.iter().filter(|pixel| pixel.iter().all(|&value| value < 100)).count();
    assert!((200..4000).contains(&dark), "{dark} dark pixels");
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let empty = Plots::new("nothing").svg().unwrap_err();
    assert!(matches!(&empty, PlotError::Empty(title) if title == "nothing"), "{empty}");
    let empty = Plots::new("no points").line("none", []).svg().unwrap_err();
    assert!(matches!(empty, PlotError::Empty(_)), "{empty}");
    let mixed = bars().line("a line", [(1.0, 1.0)]).png().unwrap_err();
    assert!(matches!(mixed, PlotError::Mixed(_)), "{mixed}");
    for bad in [(f64::NAN, 1.0, 1.0), (1.0, f64::INFINITY, 1.0), (1.0, 1.0, f64::NAN)] {
        let error = Plots::new("bad").line_with_errors("x", [(0.0, 0.0, 0.0), bad]).svg();
        assert!(matches!(error, Err(PlotError::NotFinite { index: 1, .. })), "{error:?}");
    }
    for size in [(0, 600), (960, 20_000)] {
        let error = bars().size(size.0, size.1).png().unwrap_err();
        assert!(matches!(error, PlotError::Size(..)), "{error}");
    }
    let error = bars().save("plot.gif").unwrap_err();
    assert_eq!(error.to_string(), "plot.gif is no name of a plot; it must end in .svg or .png");
}

#[test]
fn what_is_extreme_is_drawn() {
    let long = "a very long name of a series that does not fit anywhere ".repeat(8);
    let points = (0..10_000).map(|x| (f64::from(x), f64::from(x) * 1e300));
    let plot = Plots::new(&long).x_label(&long).line(&long, points);
    assert!(plot.svg().unwrap().len() < 1 << 20);
    plot.size(200, 200).png().unwrap();
    for value in [0.0, 1e-300, -1e-300, -5.0] {
        Plots::new("one").line("one", [(value, value)]).png().unwrap();
        Plots::new("one").bars("one", [("x", value)]).png().unwrap();
    }
    let many = (0..40).fold(Plots::new("many"), |plot, n| {
        plot.bars(format!("series {n}"), (0..40).map(|x| (x, f64::from(x - 20))))
    });
    many.size(200, 200).png().unwrap();
}

#[test]
fn a_file_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plots/today/start.svg");
    bars().save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), bars().svg().unwrap());
    // Below a file there is no folder.
    let error = bars().save(path.join("below/start.png")).unwrap_err();
    let PlotError::Io { path: named, source } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::NotADirectory);
    assert_eq!(*named, path.join("below/start.png"));
    let full = folder.path().join("full.png");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let error = bars().save(&full).unwrap_err();
    let full =
        matches!(&error, PlotError::Io { source, .. } if source.kind() == ErrorKind::StorageFull);
    assert!(full, "{error}");
}
