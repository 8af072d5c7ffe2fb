//! Plots of lines and of bars, as SVG or PNG (in Python: `cse351.Plots`, over `matplotlib`).
//!
//! A plot says what it shows without its colours: each series of lines has a mark of its own, each series of
//! bars a pattern, and each bar its value. Colours are those of Okabe and Ito, which most eyes tell apart.
//!
//! Needs the feature `plot`.

mod draw;

use plotters::prelude::{BitMapBackend, IntoDrawingArea as _, SVGBackend};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// How large a plot is, in pixels, unless it is said.
const SIZE: (u32, u32) = (960, 600);
/// How long and how wide it may be, in pixels.
const MOST: u32 = 10_000;
/// Smaller than this it would have no room for its texts.
const LEAST: u32 = 200;

/// A plot: series of lines over numbers, or of bars over names.
///
/// ```
/// use common::plot::Plots;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("plots/speed_up.svg");
/// Plots::new("How much faster are n processes?")
///     .x_label("processes")
///     .y_label("times as fast as one")
///     .line("measured", [(1.0, 1.0), (2.0, 1.9), (4.0, 3.4)])
///     .line("Amdahl's law, 95 % parallel", (1..=4).map(|n| (n.into(), 1.0 / (0.05 + 0.95 / f64::from(n)))))
///     .save(&path)?;
/// # assert!(std::fs::read_to_string(path)?.contains("measured"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Bars stand beside each other, one of each series over each name; here with how far the values spread:
///
/// ```
/// # use common::plot::Plots;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("start.png");
/// Plots::new("Starting a process")
///     .y_label("microseconds")
///     .bars_with_errors("Python", [("fork", 1850.0, 90.0), ("spawn", 58_160.0, 800.0)])
///     .bars_with_errors("Rust", [("fork", 102.0, 8.0), ("spawn", 777.0, 60.0)])
///     .save(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a plot is written by save()"]
pub struct Plots {
    title: String,
    x_label: String,
    y_label: String,
    has_grid: bool,
    size: (u32, u32),
    lines: Vec<Series<f64>>,
    bars: Vec<Series<String>>,
}

/// Points over numbers, or bars over names.
#[derive(Clone, Debug)]
struct Series<X> {
    name: String,
    points: Vec<Point<X>>,
}

#[derive(Clone, Debug)]
struct Point<X> {
    x: X,
    y: f64,
    /// How far the value may lie above or below.
    error: Option<f64>,
}

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// It has no series, or one has no points.
    #[error("the plot {0:?} has nothing to show; give it a line or bars")]
    Empty(String),
    /// It has lines and bars.
    #[error("the plot {0:?} has lines and bars; make two plots")]
    Mixed(String),
    /// A value is infinite or no number.
    #[error("point {index} of series {series:?} is not a finite number")]
    NotFinite {
        /// The name of the series.
        series: String,
        /// Which of its points, from 0.
        index: usize,
    },
    /// It is too small for its texts, or too large.
    #[error("a plot of {0} x {1} pixels; {LEAST} to {MOST} each way")]
    Size(u32, u32),
    /// The name of the file ends neither in `.svg` nor in `.png`.
    #[error("{} is no name of a plot; it must end in .svg or .png", .0.display())]
    Format(PathBuf),
    /// The file cannot be written; there is none then.
    #[error("the plot {} cannot be written: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The drawing library refused.
    #[error("the plot {title:?} cannot be drawn: {reason}")]
    Draw {
        /// The title of the plot.
        title: String,
        /// What it says.
        reason: String,
    },
}

impl Plots {
    /// A plot without any series.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: String::new(),
            y_label: String::new(),
            has_grid: true,
            size: SIZE,
            lines: Vec::new(),
            bars: Vec::new(),
        }
    }

    /// What is counted from left to right.
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// What is counted upwards.
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// Leaves the grid out.
    pub fn without_grid(mut self) -> Self {
        self.has_grid = false;
        self
    }

    /// How wide and how high it is, in pixels; 960 x 600 unless it is said.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// Adds points that a line joins, in this order.
    pub fn line(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let point = |(x, y)| Point { x, y, error: None };
        let points = points.into_iter().map(point).collect();
        self.lines.push(Series { name: name.into(), points });
        self
    }

    /// The same, where each point may lie so far above or below.
    pub fn line_with_errors(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64, f64)>,
    ) -> Self {
        let point = |(x, y, error)| Point { x, y, error: Some(error) };
        let points = points.into_iter().map(point).collect();
        self.lines.push(Series { name: name.into(), points });
        self
    }

    /// Adds bars, each over a name; those over the same name stand beside each other.
    pub fn bars<N: Display>(
        mut self,
        name: impl Into<String>,
        bars: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let bar = |(x, y): (N, f64)| Point { x: x.to_string(), y, error: None };
        let points = bars.into_iter().map(bar).collect();
        self.bars.push(Series { name: name.into(), points });
        self
    }

    /// The same, where each value may lie so far above or below.
    pub fn bars_with_errors<N: Display>(
        mut self,
        name: impl Into<String>,
        bars: impl IntoIterator<Item = (N, f64, f64)>,
    ) -> Self {
        let bar = |(x, y, error): (N, f64, f64)| Point { x: x.to_string(), y, error: Some(error) };
        let points = bars.into_iter().map(bar).collect();
        self.bars.push(Series { name: name.into(), points });
        self
    }

    /// Writes it into a file, whose name ends in `.svg` or `.png`, and makes the folder for it.
    ///
    /// # Errors
    ///
    /// See [`PlotError`]; no half of a file is left.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let bytes = match ending.to_ascii_lowercase().as_str() {
            "svg" => self.svg()?.into_bytes(),
            "png" => self.png()?,
            _ => return Err(PlotError::Format(path.to_path_buf())),
        };
        write(path, &bytes).map_err(|source| PlotError::Io { path: path.to_path_buf(), source })
    }

    /// The text of an SVG file.
    ///
    /// # Errors
    ///
    /// See [`PlotError`].
    pub fn svg(&self) -> Result<String, PlotError> {
        self.check()?;
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, self.size).into_drawing_area();
        draw::draw(&area, self).map_err(|reason| self.refused(&reason))?;
        area.present().map_err(|reason| self.refused(&reason))?;
        drop(area);
        Ok(text)
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// See [`PlotError`].
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        self.check()?;
        let (width, height) = self.size;
        let mut pixels = vec![255; width as usize * height as usize * 3];
        let area = BitMapBackend::with_buffer(&mut pixels, self.size).into_drawing_area();
        draw::draw(&area, self).map_err(|reason| self.refused(&reason))?;
        area.present().map_err(|reason| self.refused(&reason))?;
        drop(area);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(|reason| self.refused(&reason))?;
        writer.write_image_data(&pixels).map_err(|reason| self.refused(&reason))?;
        writer.finish().map_err(|reason| self.refused(&reason))?;
        Ok(bytes)
    }

    /// Whether there is something to draw, and it can be drawn.
    fn check(&self) -> Result<(), PlotError> {
        let (width, height) = self.size;
        if !(LEAST..=MOST).contains(&width) || !(LEAST..=MOST).contains(&height) {
            return Err(PlotError::Size(width, height));
        }
        let lines = self.lines.iter().map(|line| line.points.is_empty());
        let mut are_empty = lines.chain(self.bars.iter().map(|bars| bars.points.is_empty()));
        if self.lines.is_empty() && self.bars.is_empty() || are_empty.any(|is_empty| is_empty) {
            return Err(PlotError::Empty(self.title.clone()));
        }
        if !self.lines.is_empty() && !self.bars.is_empty() {
            return Err(PlotError::Mixed(self.title.clone()));
        }
        check_finite(&self.lines, |x| x.is_finite())?;
        check_finite(&self.bars, |_| true)
    }

    fn refused(&self, reason: &impl Display) -> PlotError {
        PlotError::Draw { title: self.title.clone(), reason: reason.to_string() }
    }
}

fn check_finite<X>(all: &[Series<X>], is_finite: impl Fn(&X) -> bool) -> Result<(), PlotError> {
    for series in all {
        let is_bad = |point: &Point<X>| {
            let numbers = [point.y, point.error.unwrap_or(0.0)];
            !is_finite(&point.x) || !numbers.iter().all(|number| number.is_finite())
        };
        if let Some(index) = series.points.iter().position(is_bad) {
            return Err(PlotError::NotFinite { series: series.name.clone(), index });
        }
    }
    Ok(())
}

/// Writes a whole file, or none.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = BufWriter::new(File::create(path)?);
    let written = file.write_all(bytes).and_then(|()| file.flush());
    if written.is_err() {
        // What is no file, such as a device, stays.
        if path.is_file() {
            let _ = fs::remove_file(path);
        }
    }
    written
}
