// SPDX-License-Identifier: GPL-2.0

//! Plots, as SVG.
//!
//! Most colours are those of Okabe and Ito, which colour-blind people can tell apart; a shape, an order or a place tells
//! series apart as well.

use std::ops::Range;

use anyhow::Result;
use plotters::{
    coord::{
        cartesian::Cartesian2d,
        ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint, Ranged},
        types::RangedCoordf64,
        Shift,
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::table::{milliseconds, plain};

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(crate) const NOTHING: RGBColor = RGBColor(0x8A, 0x8A, 0x8A);
pub(crate) const OURS: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(crate) const LIMIT: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
pub(crate) const WARM: RGBColor = RGBColor(0x00, 0x9E, 0x73);
const FAULT: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// For everything else, in this order.
const OTHERS: [RGBColor; 7] = [
    FAULT,
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xCC, 0x79, 0xA7),
    WARM,
    LIMIT,
    RGBColor(0x8C, 0x51, 0x0A),
    RGBColor(0x5D, 0x4A, 0x9C),
];

const WIDTH: u32 = 960;
const BELOW: u32 = 52;
const LEFT: u32 = 80;
const RIGHT: u32 = 24;
const FONT_SIZE: i32 = 14;
/// A shape, see [`corners`].
const SQUARE: usize = 0;
/// How wide a letter is, about.
const LETTER: i32 = 7;

type Backend<'a> = SVGBackend<'a>;
type Area<'a> = DrawingArea<Backend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, Backend<'b>, Cartesian2d<Axis, Axis>>;

/// A drawing and what it shows.
pub(crate) struct Plot {
    /// Of its file, without `.svg`; no other plot's.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What to see in it and how to read it.
    pub(crate) description: String,
    pub(crate) svg: String,
}

/// Bars below each other.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) color: RGBColor,
    /// Without it, only the text is drawn.
    pub(crate) length: Option<f64>,
    pub(crate) text: String,
}

/// A mean, and what it is the mean of.
pub(crate) struct Mean {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) mean: f64,
    pub(crate) each: Vec<f64>,
    pub(crate) text: String,
}

/// Points that belong together.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What one start did when, in milliseconds.
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) reads: Vec<(f64, f64)>,
    pub(crate) faults: Vec<f64>,
    pub(crate) prefetches: Vec<f64>,
    pub(crate) end: f64,
}

/// A curve's axes.
pub(crate) struct Titles<'a> {
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
}

/// The colour of the `index`th series that has none of its own.
pub(crate) fn other(index: usize) -> RGBColor {
    OTHERS.into_iter().cycle().nth(index).unwrap_or(INK)
}

/// For each program a group of bars, as shares.
pub(crate) fn grouped_bars(groups: &[Group], legend: &[(&str, RGBColor)]) -> Result<String> {
    const BAR: f64 = 15.0;
    const GAP: f64 = 0.8;
    let mut rows = 0.0;
    let mut middles = Vec::new();
    for group in groups {
        let height = group.bars.len() as f64 + GAP;
        middles.push(rows + height / 2.0);
        rows += height;
    }
    let lengths = || {
        groups
            .iter()
            .flat_map(|it| &it.bars)
            .filter_map(|it| it.length)
    };
    // Room for the text at the end of the longest bar.
    let x = Axis::linear(0.0..1.12 * lengths().fold(1.0, f64::max), 8);
    let names: Vec<&str> = groups.iter().map(|it| it.name.as_str()).collect();

    let legend = Legend::new(legend.iter().map(|(name, color)| (*name, *color, SQUARE)));
    draw((rows * BAR) as u32 + legend.height + BELOW, |area| {
        let body = legend.draw(area)?;
        let at = (names.as_slice(), middles.as_slice());
        let mut chart = rows_chart(&body, x, "", &|it| short_percent(*it), rows, at)?;
        let mut y = 0.0;
        for group in groups {
            y += GAP / 2.0;
            for bar in &group.bars {
                if let Some(length) = bar.length {
                    let corners = [(0.0, y + 0.06), (length, y + 0.94)];
                    chart.draw_series([Rectangle::new(corners, bar.color.filled())])?;
                }
                let end = (bar.length.unwrap_or(0.0), y + 0.5);
                write_beside(area, chart.backend_coord(&end), &bar.text, 12)?;
                y += 1.0;
            }
            y += GAP / 2.0;
        }
        Ok(())
    })
}

/// For each row a bar for the mean, and a dot for each figure in it.
pub(crate) fn means(rows: &[Mean]) -> Result<String> {
    const ROW: u32 = 30;
    /// What is farther to the left is drawn at the edge, as a ring.
    const LEAST: f64 = -1.0;
    let all = || rows.iter().flat_map(|row| row.each.iter().copied());
    let (least, most) = (all().fold(0.0, f64::min), all().fold(1.0, f64::max));
    let least = least.max(LEAST) - 0.03;
    let middles: Vec<f64> = (0..rows.len()).map(|row| row as f64 + 0.5).collect();
    let names: Vec<&str> = rows.iter().map(|it| it.name.as_str()).collect();
    // Room for the longest text to the right of everything.
    let text = f64::from(width(rows.iter().map(|it| it.text.as_str())) + 10);
    let all_of_it = f64::from(WIDTH - RIGHT - names_width(&names));
    let most = most + (most - least) * text / (all_of_it - text).max(1.0);
    let x = Axis::linear(least..most, 8);
    let count = rows.len() as f64;

    draw(rows.len() as u32 * ROW + BELOW + 8, |area| {
        let at = (names.as_slice(), middles.as_slice());
        let mut chart = rows_chart(area, x, "", &|it| short_percent(*it), count, at)?;
        for (row, middle) in rows.iter().zip(&middles) {
            let mean = row.mean.max(LEAST);
            let corners = [
                (mean.min(0.0), middle - 0.34),
                (mean.max(0.0), middle + 0.34),
            ];
            chart.draw_series([Rectangle::new(corners, row.color.filled())])?;
            chart.draw_series(row.each.iter().map(|value| {
                let at = (value.max(LEAST), *middle);
                if *value < LEAST {
                    Circle::new(at, 4, INK.stroke_width(1))
                } else {
                    Circle::new(at, 3, INK.mix(0.55).filled())
                }
            }))?;
            let right = row.each.iter().copied().fold(mean.max(0.0), f64::max);
            write_beside(area, chart.backend_coord(&(right, *middle)), &row.text, 13)?;
        }
        chart.draw_series([PathElement::new([(0.0, 0.0), (0.0, count)], INK)])?;
        Ok(())
    })
}

/// Points on two logarithmic axes of ratios; the last point of each series is drawn large.
pub(crate) fn ratios(series: &[Series], titles: &Titles<'_>) -> Result<String> {
    let points: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|it| {
            it.points
                .iter()
                .map(|(x, y)| (x.log2(), y.log2()))
                .collect()
        })
        .collect();
    // With the start that all are compared with.
    let all = || points.iter().flatten().copied().chain([(0.0, 0.0)]);
    let x = Axis::whole(all().map(|(x, _)| x));
    let y = Axis::whole(all().map(|(_, y)| y));

    let legend = Legend::of(series);
    draw(506 + legend.height, |area| {
        let body = legend.draw(area)?;
        let mut chart = chart(&body, x, y, LEFT)?;
        let label = |power: &f64| short_percent(power.exp2());
        mesh(&mut chart, titles, true, &label, &label)?;
        for (shape, (points, it)) in points.iter().zip(series).enumerate() {
            let Some((mean, each)) = points.split_last() else {
                continue;
            };
            let faint = it.color.mix(0.5).filled();
            for at in each {
                mark(area, chart.backend_coord(at), shape, 4, faint)?;
            }
            let mean = chart.backend_coord(mean);
            mark(area, mean, shape, 10, INK.filled())?;
            mark(area, mean, shape, 8, it.color.filled())?;
        }
        Ok(())
    })
}

/// One start in each lane: reads as bars, one above the other where they overlap, then faults, then prefetch requests.
pub(crate) fn time_line(lanes: &[Lane], limit: Option<f64>) -> Result<String> {
    const LANE: u32 = 150;
    /// Of a lane's height.
    const READS: Range<f64> = 0.08..0.66;
    const FAULTS: Range<f64> = 0.70..0.80;
    const PREFETCHES: Range<f64> = 0.84..0.94;
    let end = lanes.iter().map(|it| it.end).fold(0.0, f64::max).max(0.001);
    let x = Axis::linear(0.0..1.12 * end, 10);
    let pixel = 1.12 * end / f64::from(WIDTH - LEFT - RIGHT);
    let count = lanes.len() as f64;
    let middles: Vec<f64> = (0..lanes.len()).map(|lane| lane as f64 + 0.5).collect();
    let names: Vec<&str> = lanes.iter().map(|it| it.name.as_str()).collect();
    let legend = Legend::new([
        ("read", OURS, SQUARE),
        ("major fault", FAULT, SQUARE),
        ("prefetch request", WARM, SQUARE),
    ]);

    draw(lanes.len() as u32 * LANE + legend.height + BELOW, |area| {
        let body = legend.draw(area)?;
        let at = (names.as_slice(), middles.as_slice());
        let x_title = "ms since the start";
        let mut chart = rows_chart(&body, x, x_title, &|ms| number(*ms), count, at)?;
        for (lane, top) in lanes.iter().zip((0..).map(f64::from)) {
            let (depth, bars) = pack(&lane.reads, pixel);
            // A read by itself is no thicker than one of a few.
            let height = (READS.end - READS.start) / depth.max(6) as f64;
            // Between a few rows a gap can be seen, between many it would take all the room.
            let fill = if depth > 20 { 1.0 } else { 0.85 };
            chart.draw_series(bars.into_iter().map(|(row, read)| {
                let y = top + READS.end - (row + 1) as f64 * height;
                Rectangle::new(
                    [(read.start, y), (read.end, y + height * fill)],
                    OURS.filled(),
                )
            }))?;
            for (times, strip, color) in [
                (&lane.faults, FAULTS, FAULT),
                (&lane.prefetches, PREFETCHES, WARM),
            ] {
                chart.draw_series(ticks(times, 2.0 * pixel).into_iter().map(|x| {
                    PathElement::new(
                        [(x, top + strip.start), (x, top + strip.end)],
                        color.stroke_width(2),
                    )
                }))?;
            }
            let edge = [(lane.end, top + 0.03), (lane.end, top + 0.97)];
            chart.draw_series([PathElement::new(edge, INK.stroke_width(2))])?;
            let text = format!("{} ms", milliseconds(1000.0 * lane.end));
            write_beside(
                area,
                chart.backend_coord(&(lane.end, top + 0.5)),
                &text,
                FONT_SIZE,
            )?;
            chart.draw_series([PathElement::new(
                [(0.0, top + 1.0), (1.12 * end, top + 1.0)],
                INK,
            )])?;
        }
        if let Some(limit) = limit {
            let line = [(limit, 0.0), (limit, count)];
            chart.draw_series([PathElement::new(line, LIMIT.stroke_width(2))])?;
            write_beside(area, chart.backend_coord(&(limit, 0.035)), "limit", 12)?;
        }
        Ok(())
    })
}

/// Lines through points.
pub(crate) fn curves(series: &[Series], titles: &Titles<'_>, log_x: bool) -> Result<String> {
    let place = |x: f64| if log_x { x.log10() } else { x };
    let points: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|it| {
            let points = it.points.iter().map(|(x, y)| (place(*x), *y));
            points
                .filter(|(x, y)| x.is_finite() && y.is_finite())
                .collect()
        })
        .collect();
    let all = || points.iter().flatten();
    let x = if log_x {
        Axis::whole(all().map(|(x, _)| *x))
    } else {
        Axis::linear(
            0.0..1.03 * all().map(|(x, _)| *x).fold(0.0, f64::max).max(0.001),
            8,
        )
    };
    let ys = || all().map(|(_, y)| *y);
    let (least, most) = (ys().fold(0.0, f64::min), ys().fold(0.0, f64::max));
    let y = Axis::linear(1.08 * least..1.08 * most.max(least + 0.001), 6);

    let legend = Legend::of(series);
    draw(346 + legend.height, |area| {
        let body = legend.draw(area)?;
        let mut chart = chart(&body, x, y, LEFT)?;
        let label = |x: &f64| number(if log_x { 10_f64.powf(*x) } else { *x });
        mesh(&mut chart, titles, true, &label, &|y| number(*y))?;
        for (shape, (points, it)) in points.iter().zip(series).enumerate() {
            let line = it.color.stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), line))?;
            for at in points {
                mark(area, chart.backend_coord(at), shape, 5, it.color.filled())?;
            }
        }
        Ok(())
    })
}

/// One axis of a chart, and where it is labelled.
struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl Axis {
    fn at(range: Range<f64>, ticks: Vec<f64>) -> Self {
        Self { range, ticks }
    }

    /// Labelled at up to `count` round numbers.
    fn linear(range: Range<f64>, count: usize) -> Self {
        let ticks = RangedCoordf64::from(range.clone()).key_points(BoldPoints(count));
        Self::at(range, ticks)
    }

    /// Around `values`, which are logarithms, labelled at whole numbers.
    fn whole(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let (least, most) = if least > most {
            (0.0, 1.0)
        } else {
            (least, most)
        };
        let ticks = (least.floor() as i32..=most.ceil() as i32).map(f64::from);
        let room = 0.04 * (most - least).max(1.0);
        let range = least - room..most + room;
        Self::at(
            range.clone(),
            ticks.filter(|tick| range.contains(tick)).collect(),
        )
    }
}

/// The SVG that `contents` draws.
fn draw(height: u32, contents: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&PAPER)?;
        contents(&area)?;
        area.present()?;
    }
    Ok(svg)
}

fn chart<'a, 'b>(area: &'a Area<'b>, x: Axis, y: Axis, left: u32) -> Result<Chart<'a, 'b>> {
    Ok(ChartBuilder::on(area)
        .margin_top(8)
        .margin_right(RIGHT)
        .x_label_area_size(BELOW)
        .y_label_area_size(left)
        .build_cartesian_2d(x, y)?)
}

/// Draws the axes, the lines across and what is written at them.
fn mesh(
    chart: &mut Chart<'_, '_>,
    titles: &Titles<'_>,
    lines_across: bool,
    x: &dyn Fn(&f64) -> String,
    y: &dyn Fn(&f64) -> String,
) -> Result<()> {
    let ink = ("sans-serif", FONT_SIZE).into_font().color(&INK);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(ink.clone())
        .axis_desc_style(ink)
        .x_desc(titles.x)
        .y_desc(titles.y)
        .x_label_formatter(x)
        .y_label_formatter(y);
    if !lines_across {
        mesh.disable_y_mesh();
    }
    mesh.draw()?;
    Ok(())
}

/// A chart with a name at each of `middles`, and lines down.
fn rows_chart<'a, 'b>(
    area: &'a Area<'b>,
    x: Axis,
    x_title: &str,
    x_label: &dyn Fn(&f64) -> String,
    rows: f64,
    (names, middles): (&[&str], &[f64]),
) -> Result<Chart<'a, 'b>> {
    // Downwards: the first row is at the top.
    let y = Axis::at(rows..0.0, middles.to_vec());
    let mut chart = chart(area, x, y, names_width(names))?;
    let name = |at: &f64| {
        let mut rows = names.iter().zip(middles);
        let row = rows.find(|(_, middle)| *middle == at);
        row.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
    };
    let titles = Titles { x: x_title, y: "" };
    mesh(&mut chart, &titles, false, x_label, &name)?;
    Ok(chart)
}

/// About how wide the longest of these texts is.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> i32 {
    LETTER * texts.map(|text| text.chars().count()).max().unwrap_or(0) as i32
}

/// How much room names to the left of an axis take.
fn names_width(names: &[&str]) -> u32 {
    (20 + width(names.iter().copied())).unsigned_abs()
}

/// What the colours of a drawing mean, in as many lines as that takes.
struct Legend<'a> {
    items: Vec<(&'a str, RGBColor, usize, (i32, i32))>,
    height: u32,
}

impl<'a> Legend<'a> {
    /// Of names, colours and shapes.
    fn new(items: impl IntoIterator<Item = (&'a str, RGBColor, usize)>) -> Self {
        const LINE: u32 = 24;
        let (mut x, mut line) = (LEFT as i32, 0);
        let mut placed = Vec::new();
        for (name, color, shape) in items {
            let width = 36 + width([name].into_iter());
            if x != LEFT as i32 && x + width > WIDTH as i32 {
                (x, line) = (LEFT as i32, line + 1);
            }
            placed.push((name, color, shape, (x, 18 + (LINE * line) as i32)));
            x += width;
        }
        Self {
            items: placed,
            height: LINE * (line + 1) + 10,
        }
    }

    /// Of series, one shape each.
    fn of(series: &'a [Series]) -> Self {
        let items = series.iter().zip(0..);
        Self::new(items.map(|(it, shape)| (it.name.as_str(), it.color, shape)))
    }

    /// Draws it and returns the area below it.
    fn draw<'b>(&self, area: &Area<'b>) -> Result<Area<'b>> {
        for (name, color, shape, (x, y)) in &self.items {
            mark(area, (*x, *y), *shape, 6, color.filled())?;
            write_beside(area, (x + 6, *y), name, FONT_SIZE)?;
        }
        Ok(area.split_vertically(self.height).1)
    }
}

/// The outline of the `index`th shape around (0, 0).
fn corners(index: usize, size: i32) -> Vec<(i32, i32)> {
    let s = size;
    match index % 4 {
        SQUARE => vec![(-s, -s), (s, -s), (s, s), (-s, s)],
        1 => vec![(0, -s), (s, s), (-s, s)],
        2 => vec![(0, -s), (s, 0), (0, s), (-s, 0)],
        _ => vec![(-s, -s), (s, s), (s, -s), (-s, s)],
    }
}

/// Draws a shape around a dot of the drawing.
fn mark(area: &Area<'_>, at: (i32, i32), shape: usize, size: i32, style: ShapeStyle) -> Result<()> {
    let corners = corners(shape, size).into_iter();
    let corners: Vec<_> = corners.map(|(x, y)| (at.0 + x, at.1 + y)).collect();
    Ok(area.draw(&Polygon::new(corners, style))?)
}

/// Writes to the right of a dot of the drawing.
fn write_beside(area: &Area<'_>, (x, y): (i32, i32), words: &str, size: i32) -> Result<()> {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(HPos::Left, VPos::Center));
    Ok(area.draw(&Text::new(words.to_owned(), (x + 6, y), style))?)
}

/// A number at an axis.
fn number(value: f64) -> String {
    plain((value * 1000.0).round() / 1000.0)
}

/// A share at an axis.
fn short_percent(share: f64) -> String {
    let percent = 100.0 * share;
    let exactly = if percent.abs() < 10.0 { 10.0 } else { 1.0 };
    format!("{} %", number((exactly * percent).round() / exactly))
}

/// Lays reads out in rows so that none covers another that is under way; returns how many rows that takes, and what to
/// draw in which. What cannot be told apart at `pixel` per dot of the screen is one bar.
fn pack(reads: &[(f64, f64)], pixel: f64) -> (usize, Vec<(usize, Range<f64>)>) {
    let mut reads = reads.to_vec();
    reads.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut rows: Vec<f64> = Vec::new();
    let mut bars: Vec<Vec<Range<f64>>> = Vec::new();
    for (start, end) in reads {
        let free = rows.iter().position(|busy_until| *busy_until <= start);
        let row = free.unwrap_or(rows.len());
        match (rows.get_mut(row), bars.get_mut(row)) {
            (Some(busy_until), Some(bars)) => {
                *busy_until = end;
                match bars.last_mut() {
                    Some(last) if start - last.end < pixel => last.end = last.end.max(end),
                    _ => bars.push(start..end.max(start + pixel)),
                }
            }
            _ => {
                rows.push(end);
                bars.push(vec![start..end.max(start + pixel)]);
            }
        }
    }
    let bars = bars.into_iter().enumerate();
    let bars = bars.flat_map(|(row, bars)| bars.into_iter().map(move |bar| (row, bar)));
    (rows.len().max(1), bars.collect())
}

/// One of all times that fall on the same dot of the screen.
fn ticks(times: &[f64], pixel: f64) -> Vec<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.dedup_by_key(|time| (*time / pixel) as i64);
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_overlap_lie_in_different_rows() {
        let (depth, bars) = pack(&[(0.0, 10.0), (5.0, 15.0), (12.0, 20.0)], 1.0);
        assert_eq!(depth, 2);
        assert_eq!(bars, [(0, 0.0..10.0), (0, 12.0..20.0), (1, 5.0..15.0)]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_drawn_once() {
        let reads: Vec<_> = (0..1000)
            .map(|it| (f64::from(it), f64::from(it) + 0.9))
            .collect();
        assert_eq!(pack(&reads, 1.0), (1, vec![(0, 0.0..999.9)]));
        let faults: Vec<_> = (0..1000).map(|it| f64::from(it) / 100.0).collect();
        assert_eq!(ticks(&faults, 1.0).len(), 10);
    }

    #[test]
    fn a_short_read_can_be_seen() {
        assert_eq!(pack(&[(3.0, 3.0)], 0.5), (1, vec![(0, 3.0..3.5)]));
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        assert!(means(&[]).is_ok());
        assert!(time_line(&[], None).is_ok());
        let titles = Titles { x: "x", y: "y" };
        assert!(curves(&[], &titles, true).is_ok());
    }
}
