//! How a plot is drawn: in pixels, on whatever takes them.

use super::{Plots, Point, Series};
use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{
    BLACK, ChartBuilder, Color as _, DrawingArea, DrawingBackend, IntoFont as _, RGBColor, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, ShapeStyle, TextStyle};
use std::ops::Range;
use std::sync::Once;

/// What an SVG file names, which each viewer has; what a PNG file is drawn with is ours.
const FONT: &str = "sans-serif";
static FONT_FILE: &[u8] = include_bytes!("../../assets/dejavu-sans.ttf");

/// Heights of letters, in pixels.
const OF_TITLE: i32 = 26;
const OF_LABELS: i32 = 18;
const OF_TICKS: i32 = 15;

const GRID: RGBColor = RGBColor(214, 214, 214);
/// The colours of Okabe and Ito; the lightest one is left out.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

type Area<DB> = DrawingArea<DB, Shift>;
type Pixel = (i32, i32);
/// An error of the backend, as text.
type Drawn = Result<(), String>;

/// Draws all of it.
pub(super) fn draw<DB: DrawingBackend>(area: &Area<DB>, plot: &Plots) -> Drawn {
    register_font();
    area.fill(&WHITE).map_err(text)?;
    let names: Vec<&str> = match plot.bars.is_empty() {
        true => plot.lines.iter().map(|series| series.name.as_str()).collect(),
        false => plot.bars.iter().map(|series| series.name.as_str()).collect(),
    };
    let (width, _) = area.dim_in_pixel();
    let legend = legend_width(&names).min(width / 3);
    let (left, _) = area.split_horizontally(width - legend);
    match plot.bars.is_empty() {
        true => lines(area, &left, plot)?,
        false => bars(area, &left, plot)?,
    }
    let x = (width - legend) as i32;
    for (place, name) in names.iter().enumerate() {
        let y = OF_TITLE * 2 + 26 * place as i32;
        match plot.bars.is_empty() {
            true => line_sample(area, place, (x, y))?,
            false => bar(area, place, [(x, y - 8), (x + 30, y + 8)])?,
        }
        write(area, name, (x + 38, y), OF_TICKS, (HPos::Left, VPos::Center))?;
    }
    Ok(())
}

fn register_font() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let registered = plotters::style::register_font(FONT, FontStyle::Normal, FONT_FILE);
        assert!(registered.is_ok(), "the font of this crate is a font");
    });
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn style(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&BLACK)
}

fn write<DB: DrawingBackend>(
    area: &Area<DB>,
    words: &str,
    at: Pixel,
    size: i32,
    (h, v): (HPos, VPos),
) -> Drawn {
    let style = style(size).pos(Pos::new(h, v));
    area.draw(&Text::new(words.to_string(), at, style)).map_err(text)
}

/// How wide the column of names is, in pixels.
fn legend_width(names: &[&str]) -> u32 {
    let widths = names.iter().map(|name| match style(OF_TICKS).font.box_size(name) {
        Ok((width, _)) => width,
        Err(_) => name.len() as u32 * 9,
    });
    widths.max().unwrap_or(0) + 38 + 20
}

/// A number as short as it says enough.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(0.001..1e7).contains(&size) {
        return format!("{value:.1e}");
    }
    let decimals = match size {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// From the lowest to the highest value and a bit more, and from 0 where there is no value below.
fn span<X>(all: &[Series<X>]) -> Range<f64> {
    let points = all.iter().flat_map(|series| &series.points);
    let ends = points.flat_map(|Point { y, error, .. }| {
        let error = error.unwrap_or(0.0).abs();
        [y - error, y + error]
    });
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    for end in ends {
        (low, high) = (low.min(end), high.max(end));
    }
    if low == high {
        high = low + 1.0;
    }
    let more = (high - low) * 0.08;
    (if low < 0.0 { low - more } else { low })..(if high > 0.0 { high + more } else { high })
}

/// The axes, their labels and the grid; where a point lies.
fn frame<DB: DrawingBackend>(
    left: &Area<DB>,
    plot: &Plots,
    x: Range<f64>,
    y: Range<f64>,
    has_numbers: bool,
) -> Result<impl Fn(f64, f64) -> Pixel, String> {
    let mut chart = ChartBuilder::on(left)
        .caption(&plot.title, style(OF_TITLE))
        .margin(14)
        .x_label_area_size(58)
        .y_label_area_size(78)
        .build_cartesian_2d(x, y)
        .map_err(text)?;
    let grid = if plot.has_grid { GRID.to_rgba() } else { GRID.mix(0.0) };
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(&plot.x_label)
        .y_desc(&plot.y_label)
        .axis_desc_style(style(OF_LABELS))
        .label_style(style(OF_TICKS))
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(grid);
    if !has_numbers {
        mesh.disable_x_mesh().x_labels(0);
    }
    mesh.draw().map_err(text)?;
    let area = chart.plotting_area().clone();
    Ok(move |x, y| area.map_coordinate(&(x, y)))
}

fn lines<DB: DrawingBackend>(area: &Area<DB>, left: &Area<DB>, plot: &Plots) -> Drawn {
    let xs = || plot.lines.iter().flat_map(|series| series.points.iter().map(|point| point.x));
    let (low, high) = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
    let more = if low == high { 0.5 } else { (high - low) * 0.04 };
    let at = frame(left, plot, low - more..high + more, span(&plot.lines), true)?;
    for (place, series) in plot.lines.iter().enumerate() {
        let pixels: Vec<Pixel> = series.points.iter().map(|point| at(point.x, point.y)).collect();
        let style = colour(place).stroke_width(2);
        area.draw(&PathElement::new(pixels.clone(), style)).map_err(text)?;
        for point in &series.points {
            error_bar(area, point.error, |y| at(point.x, y), point.y, colour(place))?;
        }
        // Of a thousand points not each has a mark; the last one has.
        let step = pixels.len().div_ceil(24);
        for (number, &pixel) in pixels.iter().enumerate() {
            if number % step == 0 || number + 1 == pixels.len() {
                mark(area, place, pixel)?;
            }
        }
    }
    Ok(())
}

fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

fn line_sample<DB: DrawingBackend>(area: &Area<DB>, place: usize, (x, y): Pixel) -> Drawn {
    let line = PathElement::new(vec![(x, y), (x + 30, y)], colour(place).stroke_width(2));
    area.draw(&line).map_err(text)?;
    mark(area, place, (x + 15, y))
}

/// The mark of a series: there are six forms and seven colours.
fn mark<DB: DrawingBackend>(area: &Area<DB>, place: usize, (x, y): Pixel) -> Drawn {
    let full = colour(place).filled();
    let line = colour(place).stroke_width(3);
    let draw_path = |points: &[Pixel]| {
        let points: Vec<Pixel> = points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&PathElement::new(points, line)).map_err(text)
    };
    let draw_form = |points: &[Pixel]| {
        let points: Vec<Pixel> = points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(points, full)).map_err(text)
    };
    match place % 6 {
        0 => area.draw(&Circle::new((x, y), 5, full)).map_err(text),
        1 => draw_form(&[(-5, -5), (5, -5), (5, 5), (-5, 5)]),
        2 => draw_form(&[(0, -7), (6, 5), (-6, 5)]),
        3 => draw_form(&[(0, -7), (7, 0), (0, 7), (-7, 0)]),
        4 => draw_path(&[(-5, -5), (5, 5)]).and_then(|()| draw_path(&[(-5, 5), (5, -5)])),
        _ => draw_path(&[(-6, 0), (6, 0)]).and_then(|()| draw_path(&[(0, -6), (0, 6)])),
    }
}

/// How far a value may lie above or below.
fn error_bar<DB: DrawingBackend>(
    area: &Area<DB>,
    error: Option<f64>,
    at: impl Fn(f64) -> Pixel,
    value: f64,
    colour: RGBColor,
) -> Drawn {
    let Some(error) = error else { return Ok(()) };
    let (low, high) = (at(value - error), at(value + error));
    let caps = [low, high].map(|(x, y)| vec![(x - 6, y), (x + 6, y)]);
    for points in caps.into_iter().chain([vec![low, high]]) {
        area.draw(&PathElement::new(points, colour.stroke_width(2))).map_err(text)?;
    }
    Ok(())
}

fn bars<DB: DrawingBackend>(area: &Area<DB>, left: &Area<DB>, plot: &Plots) -> Drawn {
    let mut names: Vec<&str> = Vec::new();
    for point in plot.bars.iter().flat_map(|series| &series.points) {
        if !names.contains(&point.x.as_str()) {
            names.push(&point.x);
        }
    }
    let y = span(&plot.bars);
    let lowest = y.start;
    let at = frame(left, plot, -0.5..names.len() as f64 - 0.5, y, false)?;
    for (place, name) in names.iter().enumerate() {
        let (x, y) = at(place as f64, lowest);
        write(area, name, (x, y + 8), OF_TICKS, (HPos::Center, VPos::Top))?;
    }
    // The bars of one name take four fifths of its room.
    let width = 0.8 / plot.bars.len() as f64;
    for (place, series) in plot.bars.iter().enumerate() {
        for point in &series.points {
            let name = names.iter().position(|name| *name == point.x).unwrap_or_default();
            let start = name as f64 - 0.4 + width * place as f64;
            let middle = start + width / 2.0;
            let (x0, zero) = at(start + width * 0.04, 0.0);
            let (x1, top) = at(start + width * 0.96, point.y);
            bar(area, place, [(x0, zero.min(top)), (x1, zero.max(top))])?;
            error_bar(area, point.error, |y| at(middle, y), point.y, BLACK)?;
            let end = point.y + point.error.unwrap_or(0.0).abs().copysign(point.y);
            let (x, y) = at(middle, end);
            let (y, above) = if point.y < 0.0 { (y + 5, VPos::Top) } else { (y - 5, VPos::Bottom) };
            write(area, &number(point.y), (x, y), OF_TICKS - 2, (HPos::Center, above))?;
        }
    }
    let line = [at(-0.5, 0.0), at(names.len() as f64 - 0.5, 0.0)];
    area.draw(&PathElement::new(line.to_vec(), BLACK.stroke_width(1))).map_err(text)
}

/// One bar, with the pattern of its series: there are five, and seven colours.
fn bar<DB: DrawingBackend>(area: &Area<DB>, place: usize, [from, to]: [Pixel; 2]) -> Drawn {
    const STEP: i32 = 8;
    let colour = colour(place);
    let mut paths: Vec<[Pixel; 2]> = Vec::new();
    let (width, height) = (to.0 - from.0, to.1 - from.1);
    // From the left or lower edge up to the upper or right one.
    let rising = |at: i32| {
        let low = ((at - height).max(0), at.min(height));
        let high = (at.min(width), (at - width).max(0));
        [low, high].map(|(x, y)| (from.0 + x, from.1 + y))
    };
    let falling = |at: i32| rising(at).map(|(x, y)| (from.0 + to.0 - x, y));
    let steps = |len: i32| (STEP..len).step_by(STEP as usize);
    match place % 5 {
        0 => {}
        1 => paths.extend(steps(width + height).map(rising)),
        2 => paths.extend(steps(height).map(|y| [(from.0, from.1 + y), (to.0, from.1 + y)])),
        3 => {
            paths.extend(steps(width + height).map(rising));
            paths.extend(steps(width + height).map(falling));
        }
        _ => paths.extend(steps(width).map(|x| [(from.0 + x, from.1), (from.0 + x, to.1)])),
    }
    let inside: ShapeStyle =
        if place.is_multiple_of(5) { colour.filled() } else { colour.mix(0.15).filled() };
    area.draw(&Rectangle::new([from, to], inside)).map_err(text)?;
    for path in paths {
        area.draw(&PathElement::new(path.to_vec(), colour.stroke_width(2))).map_err(text)?;
    }
    area.draw(&Rectangle::new([from, to], colour.stroke_width(2))).map_err(text)
}
