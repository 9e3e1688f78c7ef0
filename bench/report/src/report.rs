// SPDX-License-Identifier: GPL-2.0

//! What the report says, in order.

use anyhow::Result;

use crate::{
    page::{Block, Page},
    plot::{self, Bar, Group, Lane, Mean, Plot, Series, Titles},
    results::{Clock, Cost, Device, EventKind, Place, Results, Start, TimeLine, NONE, OURS},
    summary::{self, Comparisons, Figures, Slower, Verdict},
    table::{count, milliseconds, percent, plain, several, times, Cell, Table, Tone},
};

pub(crate) fn page(results: &Results) -> Result<Page> {
    let mut blocks = introduction(results);
    blocks.extend(summary(results));
    for device in &results.about.devices {
        blocks.extend(device_section(results, device)?);
    }
    blocks.extend(time_lines(results)?);
    blocks.extend(costs(results)?);
    blocks.extend(what_was_measured(results));
    Ok(Page {
        title: "pbitmap and its rivals, from a cold start".to_owned(),
        blocks,
    })
}

fn words(text: impl Into<String>) -> Block {
    Block::Words(text.into())
}

fn introduction(results: &Results) -> Vec<Block> {
    let about = &results.about;
    let clock = match about.clock {
        Clock::Virtual => {
            "Times are in virtual time: an instruction of the guest takes a nanosecond, and the disk is a model in the \
             guest whose latency and bandwidth pass in the same time, so that they are the same on any machine."
        }
        Clock::Real => {
            "Times are in real time, on this machine, as it was; they are not the same on another one."
        }
    };
    vec![
        words(format!(
            "Linux {}, {}{}; each figure is {}. {clock} A figure that is missing was not measured.",
            about.kernel,
            match about.commit.as_str() {
                "" => String::new(),
                commit => format!("pbitmap {commit}, "),
            },
            about.date,
            match about.repeat {
                1 => "that of one cold start".to_owned(),
                repeat => format!("the median of {repeat} cold starts"),
            }
        )),
        Block::Code(about.command.clone()),
    ]
}

fn summary(results: &Results) -> Vec<Block> {
    let mut blocks = vec![
        Block::Section("Summary".to_owned()),
        words(summary::words(results).join(" ")),
    ];

    let mut bars = Table::new(
        "What was asked for, and what was measured",
        &["what", "asked", "measured", "verdict"],
        &[],
    );
    for bar in summary::bars(results) {
        let tone = match bar.verdict {
            Verdict::Met | Verdict::MetSoFar => Tone::Good,
            Verdict::NotMet => Tone::Bad,
            Verdict::NotMeasured => Tone::Missing,
        };
        let verdict = match &bar.short_by {
            Some(short) => format!("{} by {short}", bar.verdict.words()),
            None => bar.verdict.words().to_owned(),
        };
        bars.rows.push(vec![
            bar.what.into(),
            bar.asked.into(),
            bar.measured.into(),
            Cell::new(verdict, tone),
        ]);
    }
    blocks.push(Block::Table(bars));

    blocks.push(Block::Table(by_device(results)));
    blocks.extend(slower(
        "Starts that take longer than with nothing by more than 1 %",
        &Comparisons::with_nothing(results).lost,
    ));
    blocks.extend(slower(
        "Starts that a rival makes faster by more than 2 %",
        &Comparisons::with_rivals(results).lost,
    ));
    blocks
}

fn by_device(results: &Results) -> Table {
    let mut table = Table::new(
        "pbitmap on each device, over its programs",
        &["device"],
        &[
            "measured",
            "way to the limit, mean",
            "least",
            "cold start shorter, mean",
            "times the limit, mean",
            "worst",
        ],
    );
    for device in &results.about.devices {
        let way = Figures::new(results.on(device), |it| it.way_to_limit(OURS));
        let shorter = Figures::new(results.on(device), |it| it.shortening(OURS));
        let limit = Figures::new(results.on(device), |it| it.times_the_limit(OURS));
        let extreme = |figure: Option<(Place<'_>, f64)>, write: fn(f64) -> String| match figure {
            Some((place, value)) => {
                Cell::from(format!("{} ({})", write(value), place.program.name))
            }
            None => Cell::of(None, write),
        };
        table.rows.push(vec![
            device.title.as_str().into(),
            shorter.counted("program").into(),
            Cell::of(way.mean(), percent),
            extreme(way.least(), percent),
            Cell::of(shorter.mean(), percent),
            Cell::of(limit.mean(), times),
            extreme(limit.greatest(), times),
        ]);
    }
    table
}

fn slower(caption: &str, lost: &[Slower<'_>]) -> Option<Block> {
    let mut table = Table::new(
        caption,
        &["program", "device", "with"],
        &["its time, ms", "pbitmap, ms", "longer by"],
    );
    for slower in lost {
        table.rows.push(vec![
            slower.place.program.name.as_str().into(),
            slower.place.device.title.as_str().into(),
            slower.than.title.as_str().into(),
            milliseconds(slower.theirs_us).into(),
            milliseconds(slower.ours_us).into(),
            percent(slower.by()).into(),
        ]);
    }
    (!lost.is_empty()).then_some(Block::Table(table))
}

fn device_section(results: &Results, device: &Device) -> Result<Vec<Block>> {
    let mut blocks = vec![Block::Section(device.title.clone())];
    if !results.on(device).any(|place| {
        results
            .about
            .rivals
            .iter()
            .any(|it| place.start(&it.name).is_some())
    }) {
        blocks.push(words("Nothing was measured on this device."));
        return Ok(blocks);
    }
    blocks.push(Block::Plot(bars(results, device)?));
    blocks.push(Block::Table(programs(results, device)));
    blocks.extend(gap_closed(results, device)?.map(Block::Plot));
    blocks.push(Block::Table(rivals(results, device)));
    blocks.extend(bytes_and_time(results, device)?.map(Block::Plot));
    blocks.push(Block::FoldedTable(every_start(results, device)));
    Ok(blocks)
}

fn bars(results: &Results, device: &Device) -> Result<Plot> {
    let groups: Vec<Group> = results
        .on(device)
        .map(|place| Group {
            name: place.program.name.clone(),
            bars: [
                (plot::NOTHING, place.cold(NONE)),
                (plot::OURS, place.cold(OURS)),
                (plot::LIMIT, place.limit()),
                (plot::WARM, place.warm()),
            ]
            .map(|(color, us)| Bar {
                color,
                // Without the start that all are compared with, there is only the figure itself.
                length: us.zip(place.cold(NONE)).map(|(us, none)| us / none),
                text: us.map_or_else(
                    || "not measured".to_owned(),
                    |us| format!("{} ms", milliseconds(us)),
                ),
            })
            .into(),
        })
        .collect();
    let legend = [
        ("nothing", plot::NOTHING),
        ("pbitmap", plot::OURS),
        ("physical limit", plot::LIMIT),
        ("warm", plot::WARM),
    ];
    Ok(Plot {
        name: format!("bars-{}", slug(&device.name)),
        title: format!("Cold starts on {}", device.title),
        description: "for each program the time of a cold start with nothing, with pbitmap, what physics leaves of \
                      it, and of a warm start, as shares of the first."
            .to_owned(),
        svg: plot::grouped_bars(&groups, &legend)?,
    })
}

fn programs(results: &Results, device: &Device) -> Table {
    let mut table = Table::new(
        format!(
            "Programs on {}: times in ms; what changes, with nothing → with pbitmap",
            device.title
        ),
        &["program"],
        &[
            "warm",
            "limit",
            "nothing",
            "pbitmap",
            "way to the limit",
            "times the limit",
            "major faults",
            "reads",
            "KB read",
        ],
    );
    for place in results.on(device) {
        let (none, ours) = (place.start(NONE), place.start(OURS));
        let change = |of: fn(&Start) -> Option<f64>| {
            Cell::change(none.and_then(of), ours.and_then(of), count)
        };
        table.rows.push(vec![
            place.program.name.as_str().into(),
            Cell::of(place.warm(), milliseconds),
            Cell::of(place.limit(), milliseconds),
            Cell::of(place.cold(NONE), milliseconds),
            Cell::of(place.cold(OURS), milliseconds),
            Cell::of(place.way_to_limit(OURS), percent),
            Cell::of(place.times_the_limit(OURS), times),
            change(|it| it.majflt),
            change(|it| it.reads),
            change(|it| it.kb),
        ]);
    }
    table
}

fn gap_closed(results: &Results, device: &Device) -> Result<Option<Plot>> {
    let rows: Vec<Mean> = rivals_in_colour(results)
        .filter(|(name, ..)| name != NONE)
        .filter_map(|(name, title, color)| {
            let gap = Figures::new(results.on(device), |it| it.gap_closed(&name));
            let mean = gap.mean()?;
            Some(Mean {
                name: title,
                color,
                mean,
                each: gap.values().collect(),
                text: format!("{} ({})", percent(mean), gap.counted("program")),
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(Plot {
        name: format!("gap-{}", slug(&device.name)),
        title: format!("How much of the gap between cold and warm each closes on {}", device.title),
        description: "(nothing - it) / (nothing - warm): the bar is the mean of the programs, a dot is a program, a \
                      ring at the left edge one that lies beyond it, as a mean may. Left of 0 % a start takes longer than with nothing."
            .to_owned(),
        svg: plot::means(&rows)?,
    }))
}

fn rivals(results: &Results, device: &Device) -> Table {
    let mut table = Table::new(
        format!(
            "All on {}: means of the programs, each in units of its own start with nothing",
            device.title
        ),
        &["with"],
        &[
            "measured",
            "time",
            "gap closed",
            "bytes",
            "requests",
            "left in the page cache, KB",
        ],
    );
    for rival in &results.about.rivals {
        let name = rival.name.as_str();
        let time = Figures::new(results.on(device), |it| it.time_against_none(name).into());
        let gap = Figures::new(results.on(device), |it| it.gap_closed(name));
        let mean_of = |figure: &dyn Fn(Place<'_>) -> Option<f64>| {
            Figures::new(results.on(device), |it| figure(it).into()).mean()
        };
        table.rows.push(vec![
            rival.title.as_str().into(),
            time.counted("program").into(),
            Cell::of(time.mean(), percent),
            Cell::of(gap.mean(), percent),
            Cell::of(mean_of(&|it| it.against_none(name, |it| it.kb)), percent),
            Cell::of(mean_of(&|it| it.against_none(name, |it| it.reads)), percent),
            Cell::of(mean_of(&|it| it.start(name)?.cached_kb), count),
        ]);
    }
    table
}

fn bytes_and_time(results: &Results, device: &Device) -> Result<Option<Plot>> {
    let series: Vec<Series> = rivals_in_colour(results)
        .filter(|(name, ..)| name != NONE)
        .filter_map(|(name, title, color)| {
            let mut points: Vec<(f64, f64)> = results
                .on(device)
                .filter_map(|it| {
                    let bytes = it.against_none(&name, |it| it.kb)?;
                    Some((bytes, it.time_against_none(&name)?))
                })
                .filter(|(bytes, time)| *bytes > 0.0 && *time > 0.0)
                .collect();
            if points.is_empty() {
                return None;
            }
            // The axes are logarithmic, so the mean is the geometric one.
            let count = points.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| {
                (points.iter().map(|it| of(it).ln()).sum::<f64>() / count).exp()
            };
            points.push((mean(|it| it.0), mean(|it| it.1)));
            Some(Series {
                name: title,
                color,
                points,
            })
        })
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let titles = Titles {
        x: "bytes read, of those with nothing",
        y: "time, of that with nothing",
    };
    Ok(Some(Plot {
        name: format!("bytes-{}", slug(&device.name)),
        title: format!("Bytes against time on {}", device.title),
        description: "a small mark is a program, a large one the geometric mean of all; 100 % is the start with \
                      nothing. Lower is faster, left is fewer bytes."
            .to_owned(),
        svg: plot::ratios(&series, &titles)?,
    }))
}

fn every_start(results: &Results, device: &Device) -> Table {
    let mut table = Table::new(
        format!("Every start on {}", device.title),
        &["program", "with"],
        &[
            "time, ms",
            "of that idle",
            "spread",
            "gap closed",
            "major faults",
            "KB read",
            "requests",
            "left in the page cache, KB",
        ],
    );
    for place in results.on(device) {
        for rival in &results.about.rivals {
            let start = place.start(&rival.name);
            let gap = match rival.name.as_str() {
                NONE => "".into(),
                name => Cell::of(place.gap_closed(name), percent),
            };
            let spread = start.and_then(|it| it.spread_pct);
            table.rows.push(vec![
                place.program.name.as_str().into(),
                rival.title.as_str().into(),
                Cell::of(place.cold(&rival.name), milliseconds),
                Cell::of(start.and_then(|it| it.idle_us), milliseconds),
                Cell::of(spread, |percent| format!("{percent:.2} %")),
                gap,
                Cell::of(start.and_then(|it| it.majflt), count),
                Cell::of(start.and_then(|it| it.kb), count),
                Cell::of(start.and_then(|it| it.reads), count),
                Cell::of(start.and_then(|it| it.cached_kb), count),
            ]);
        }
    }
    table
}

/// Name, title and colour of each; ours and nothing have colours of their own.
fn rivals_in_colour(
    results: &Results,
) -> impl Iterator<Item = (String, String, plotters::style::RGBColor)> + '_ {
    let mut others = 0;
    results.about.rivals.iter().map(move |rival| {
        let color = match rival.name.as_str() {
            NONE => plot::NOTHING,
            OURS => plot::OURS,
            _ => {
                others += 1;
                plot::other(others - 1)
            }
        };
        (rival.name.clone(), rival.title.clone(), color)
    })
}

fn time_lines(results: &Results) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for place in results.places() {
        let lines: Vec<(&str, &TimeLine)> = results
            .about
            .rivals
            .iter()
            .filter_map(|rival| {
                let line = results.timelines.iter().find(|line| {
                    line.program == place.program.name
                        && line.device == place.device.name
                        && line.rival == rival.name
                })?;
                Some((rival.title.as_str(), line))
            })
            .collect();
        if lines.is_empty() {
            continue;
        }
        if blocks.is_empty() {
            blocks.push(Block::Section("What one start does when".to_owned()));
        }
        blocks.extend(time_line(place, &lines)?);
    }
    Ok(blocks)
}

fn time_line(place: Place<'_>, lines: &[(&str, &TimeLine)]) -> Result<[Block; 2]> {
    let ms = |us: f64| us / 1000.0;
    let lanes: Vec<Lane> = lines
        .iter()
        .map(|(title, line)| {
            let times = |kind| line.of(kind).map(|event| ms(event.us)).collect();
            Lane {
                name: (*title).to_owned(),
                reads: line
                    .of(EventKind::Read)
                    .map(|read| (ms(read.us), ms(read.end_us.unwrap_or(read.us))))
                    .collect(),
                faults: times(EventKind::Fault),
                prefetches: times(EventKind::Prefetch),
                end: ms(line.end_us),
            }
        })
        .collect();

    let at = format!("{} on {}", place.program.name, place.device.title);
    let mut table = Table::new(
        format!("What there is to see of {at}"),
        &["with"],
        &[
            "ready after, ms",
            "reads",
            "KB",
            "major faults",
            "prefetch requests",
        ],
    );
    for (title, line) in lines {
        let number = |kind| count(line.of(kind).count() as f64);
        let kb: f64 = line.of(EventKind::Read).filter_map(|read| read.kb).sum();
        table.rows.push(vec![
            (*title).into(),
            milliseconds(line.end_us).into(),
            number(EventKind::Read).into(),
            count(kb).into(),
            number(EventKind::Fault).into(),
            number(EventKind::Prefetch).into(),
        ]);
    }
    let plot = Plot {
        name: format!(
            "timeline-{}-{}",
            slug(&place.device.name),
            slug(&place.program.name)
        ),
        title: format!("One cold start of {at}"),
        description: "in each lane, from above: reads as bars from request to answer, one above the other where \
                      several are under way; major faults; prefetch requests. The line at the right is the end of the \
                      start, the one across all lanes what physics leaves of it."
            .to_owned(),
        svg: plot::time_line(&lanes, place.limit().map(ms))?,
    };
    Ok([Block::Plot(plot), Block::Table(table)])
}

fn costs(results: &Results) -> Result<Vec<Block>> {
    if results.costs.is_empty() {
        return Ok(Vec::new());
    }
    let mut blocks = vec![Block::Section("What it costs".to_owned())];
    for (index, cost) in results.costs.iter().enumerate() {
        blocks.push(Block::Plot(cost_plot(index + 1, cost)?));
        blocks.push(Block::FoldedTable(cost_table(cost)));
    }
    Ok(blocks)
}

fn cost_plot(number: usize, cost: &Cost) -> Result<Plot> {
    let series: Vec<Series> = cost
        .series
        .iter()
        .enumerate()
        .map(|(index, curve)| Series {
            name: curve.name.clone(),
            color: if index == 0 {
                plot::OURS
            } else {
                plot::other(index - 1)
            },
            points: curve.points.clone(),
        })
        .collect();
    let titles = Titles {
        x: &cost.x_title,
        y: &cost.y_title,
    };
    Ok(Plot {
        name: format!("costs-{number}"),
        title: cost.title.clone(),
        description: format!("{} over {}.", cost.y_title, cost.x_title),
        svg: plot::curves(&series, &titles, cost.log_x)?,
    })
}

fn cost_table(cost: &Cost) -> Table {
    let mut table = Table::new(
        format!("The figures: {}", cost.title),
        &["of"],
        &[&cost.x_title, &cost.y_title],
    );
    for curve in &cost.series {
        for (x, y) in &curve.points {
            let row = vec![
                curve.name.as_str().into(),
                plain(*x).into(),
                plain(*y).into(),
            ];
            table.rows.push(row);
        }
    }
    table
}

fn what_was_measured(results: &Results) -> Vec<Block> {
    let about = &results.about;
    let mut blocks = vec![Block::Section("What was measured".to_owned())];

    let mut programs = Table::new(
        "Programs",
        &["program", "kind", "command", "the start ends with"],
        &["files, KB"],
    );
    for program in &about.programs {
        programs.rows.push(vec![
            program.name.as_str().into(),
            program.kind.as_str().into(),
            Cell::code(&program.command),
            program.end.as_str().into(),
            Cell::of(program.files_kb, count),
        ]);
    }
    blocks.push(Block::Table(programs));

    let mut devices = Table::new(
        "Devices",
        &["device", "filesystem"],
        &[
            "latency, ms",
            "MB/s",
            "requests in flight",
            "largest request, KB",
            "read_ahead_kb",
        ],
    );
    for device in &about.devices {
        devices.rows.push(vec![
            device.title.as_str().into(),
            device.filesystem.as_str().into(),
            Cell::of(device.latency_us, |us| plain(us / 1000.0)),
            Cell::of(device.mb_per_s, plain),
            Cell::of(device.depth, plain),
            Cell::of(device.max_request_kb, plain),
            Cell::of(device.read_ahead_kb, plain),
        ]);
    }
    blocks.push(Block::Table(devices));

    let mut rivals = Table::new("With what", &["name", "what it does"], &[]);
    for rival in &about.rivals {
        let row = vec![rival.title.as_str().into(), rival.about.as_str().into()];
        rivals.rows.push(row);
    }
    blocks.push(Block::Table(rivals));
    blocks.push(Block::Table(coverage(results)));
    blocks.extend(failures(results));
    blocks
}

/// How many programs there are figures of, on each device with each rival.
fn coverage(results: &Results) -> Table {
    let titles: Vec<_> = results
        .about
        .rivals
        .iter()
        .map(|it| it.title.as_str())
        .collect();
    let mut table = Table::new(
        format!(
            "How many of {} were measured",
            several(results.about.programs.len(), "program")
        ),
        &["device"],
        &titles,
    );
    for device in &results.about.devices {
        let measured = results.about.rivals.iter().map(|rival| {
            let starts = results
                .on(device)
                .filter_map(|place| place.start(&rival.name));
            count(starts.count() as f64).into()
        });
        let mut row = vec![device.title.as_str().into()];
        row.extend(measured);
        table.rows.push(row);
    }
    table
}

/// What has no figures, and why.
fn failures(results: &Results) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut table = Table::new("What failed", &["program", "device", "with", "why"], &[]);
    let mut missing = 0;
    for place in results.places() {
        for rival in &results.about.rivals {
            let said = place.said(&rival.name);
            match said.and_then(|start| start.failed.as_deref()) {
                Some(why) => table.rows.push(vec![
                    place.program.name.as_str().into(),
                    place.device.title.as_str().into(),
                    rival.title.as_str().into(),
                    why.into(),
                ]),
                None => missing += usize::from(place.start(&rival.name).is_none()),
            }
        }
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    if missing != 0 {
        blocks.push(words(format!(
            "{} of the run's programs, devices and rivals have no result.",
            several(missing, "combination")
        )));
    }
    blocks
}

/// A name for a file.
fn slug(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect()
}
