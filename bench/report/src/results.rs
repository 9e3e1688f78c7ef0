// SPDX-License-Identifier: GPL-2.0

//! What the benchmark left in its directory, and how one start in it compares with the others.
//!
//! | file | what it holds |
//! |---|---|
//! | `about.json` | the run: kernel, command, clock; programs, devices and rivals in the order of the report |
//! | `results.json` | one start each: program, device, rival, and what it took |
//! | `timelines.json` | what some of the starts did when (may be missing) |
//! | `costs.json` | curves of what the module costs (may be missing) |
//!
//! A run may have been cut off, and a rival may not work on a device. So any figure may be missing, and one that is
//! missing stays so: nothing here puts another in its place.

use std::{collections::HashMap, fs, io, path::Path};

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Deserialize};

/// The start without any help, which everything is compared with.
pub(crate) const NONE: &str = "none";
/// The start that the module helps.
pub(crate) const OURS: &str = "pbitmap";
/// The rival that reads whole files.
pub(crate) const SLURP: &str = "slurp";

/// The figures of a run repeat to within this; a difference that is smaller says nothing.
const RESOLUTION: f64 = 0.01;

#[derive(Deserialize)]
pub(crate) struct About {
    pub(crate) kernel: String,
    pub(crate) command: String,
    /// Of pbitmap; empty if it is not known.
    #[serde(default)]
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) clock: Clock,
    pub(crate) repeat: u64,
    pub(crate) programs: Vec<Program>,
    pub(crate) devices: Vec<Device>,
    pub(crate) rivals: Vec<Rival>,
    pub(crate) overheads: Option<Overheads>,
}

/// What the module costs where it gains nothing, in percent of the time without it.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Overheads {
    pub(crate) unannotated_pct: f64,
    pub(crate) annotated_warm_pct: f64,
    pub(crate) exit_pct: f64,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Clock {
    Virtual,
    Real,
}

#[derive(Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) command: String,
    /// What ends its launch.
    pub(crate) end: String,
    /// The size of the files that it maps or reads.
    pub(crate) files_kb: Option<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) latency_us: Option<f64>,
    pub(crate) mb_per_s: Option<f64>,
    pub(crate) depth: Option<f64>,
    pub(crate) max_request_kb: Option<f64>,
    pub(crate) read_ahead_kb: Option<f64>,
    pub(crate) filesystem: String,
}

#[derive(Deserialize)]
pub(crate) struct Rival {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) about: String,
}

/// One program, started on one device with the help of one rival.
#[derive(Deserialize)]
pub(crate) struct Start {
    program: String,
    device: String,
    rival: String,
    cold_us: Option<f64>,
    warm_us: Option<f64>,
    limit_us: Option<f64>,
    /// When the processor had nothing to do.
    pub(crate) idle_us: Option<f64>,
    pub(crate) majflt: Option<f64>,
    pub(crate) reads: Option<f64>,
    pub(crate) kb: Option<f64>,
    /// How far apart the repetitions were.
    pub(crate) spread_pct: Option<f64>,
    /// What the start left in the page cache.
    pub(crate) cached_kb: Option<f64>,
    /// Why there are no figures.
    pub(crate) failed: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct TimeLine {
    pub(crate) program: String,
    pub(crate) device: String,
    pub(crate) rival: String,
    pub(crate) end_us: f64,
    pub(crate) events: Vec<Event>,
}

impl TimeLine {
    pub(crate) fn of(&self, kind: EventKind) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }
}

#[derive(Deserialize)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) us: f64,
    /// When a read was done.
    pub(crate) end_us: Option<f64>,
    pub(crate) kb: Option<f64>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    Read,
    Fault,
    Prefetch,
}

#[derive(Deserialize)]
pub(crate) struct Cost {
    pub(crate) title: String,
    pub(crate) x_title: String,
    pub(crate) y_title: String,
    #[serde(default)]
    pub(crate) log_x: bool,
    pub(crate) series: Vec<Curve>,
}

#[derive(Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// All of it.
pub(crate) struct Results {
    pub(crate) about: About,
    pub(crate) timelines: Vec<TimeLine>,
    pub(crate) costs: Vec<Cost>,
    starts: HashMap<(String, String, String), Start>,
}

impl Results {
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let required = |name: &str| format!("{} is missing", directory.join(name).display());
        let about = read(directory, "about.json")?.with_context(|| required("about.json"))?;
        let starts: Vec<Start> =
            read(directory, "results.json")?.with_context(|| required("results.json"))?;
        Ok(Self {
            about,
            timelines: read(directory, "timelines.json")?.unwrap_or_default(),
            costs: read(directory, "costs.json")?.unwrap_or_default(),
            // Of two results for the same start, the later one is of the run that was resumed.
            starts: starts
                .into_iter()
                .map(|start| {
                    let (program, device) = (start.program.clone(), start.device.clone());
                    ((program, device, start.rival.clone()), start)
                })
                .collect(),
        })
    }

    /// Every program on `device`.
    pub(crate) fn on<'a>(&'a self, device: &'a Device) -> impl Iterator<Item = Place<'a>> + 'a {
        self.about.programs.iter().map(move |program| Place {
            program,
            device,
            results: self,
        })
    }

    /// Every program on every device.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place<'_>> + '_ {
        self.about.devices.iter().flat_map(|device| self.on(device))
    }

    /// The rivals in the proper sense: neither nothing nor ours.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Rival> + '_ {
        self.about
            .rivals
            .iter()
            .filter(|rival| rival.name != NONE && rival.name != OURS)
    }
}

/// The content of a file of the directory, if it is there.
fn read<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<T>> {
    let path = directory.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(path.display().to_string()),
    };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| path.display().to_string())
}

/// A figure that several others make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    Of(f64),
    /// Between the two ends of the way there is nothing to measure.
    NoGap,
    NotMeasured,
}

impl From<Option<f64>> for Figure {
    fn from(figure: Option<f64>) -> Self {
        figure.map_or(Self::NotMeasured, Self::Of)
    }
}

/// One program on one device.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) program: &'a Program,
    pub(crate) device: &'a Device,
    results: &'a Results,
}

impl<'a> Place<'a> {
    /// What the benchmark says of the start with `rival`, which may be that it failed.
    pub(crate) fn said(self, rival: &str) -> Option<&'a Start> {
        self.results.starts.get(&(
            self.program.name.clone(),
            self.device.name.clone(),
            rival.to_owned(),
        ))
    }

    /// The start with `rival`, if it was measured.
    pub(crate) fn start(self, rival: &str) -> Option<&'a Start> {
        self.said(rival)
            .filter(|start| start.failed.is_none() && start.cold_us.is_some_and(|time| time > 0.0))
    }

    /// How long the cold start with `rival` took.
    pub(crate) fn cold(self, rival: &str) -> Option<f64> {
        self.start(rival)?.cold_us
    }

    /// How long the start takes when all is in memory.
    pub(crate) fn warm(self) -> Option<f64> {
        self.bound(|start| start.warm_us)
    }

    /// What physics leaves of the cold start: max(warm, bytes needed / bandwidth) + one latency.
    pub(crate) fn limit(self) -> Option<f64> {
        self.bound(|start| start.limit_us)
    }

    /// Each result repeats these; what counts is the one beside the start with nothing.
    fn bound(self, of: impl Fn(&Start) -> Option<f64>) -> Option<f64> {
        let rivals = self.results.about.rivals.iter();
        [NONE, OURS]
            .into_iter()
            .chain(rivals.map(|rival| rival.name.as_str()))
            .filter_map(|rival| of(self.said(rival)?))
            .find(|time| *time > 0.0)
    }

    /// Which share of the way from nothing to the physical limit `rival` goes.
    pub(crate) fn way_to_limit(self, rival: &str) -> Figure {
        share(self.cold(NONE), self.cold(rival), self.limit())
    }

    /// Which share of the gap between the cold and the warm start `rival` closes.
    pub(crate) fn gap_closed(self, rival: &str) -> Figure {
        share(self.cold(NONE), self.cold(rival), self.warm())
    }

    /// By which share the cold start is shorter with `rival`.
    pub(crate) fn shortening(self, rival: &str) -> Figure {
        self.against_none(rival, |start| start.cold_us)
            .map(|ratio| 1.0 - ratio)
            .into()
    }

    /// How many times the physical limit the start takes with `rival`.
    pub(crate) fn times_the_limit(self, rival: &str) -> Figure {
        self.cold(rival)
            .zip(self.limit())
            .map(|(time, limit)| time / limit)
            .into()
    }

    /// A figure of the start with `rival`, in units of that of the start with nothing.
    pub(crate) fn against_none(
        self,
        rival: &str,
        of: impl Fn(&Start) -> Option<f64>,
    ) -> Option<f64> {
        let none = of(self.start(NONE)?).filter(|none| *none > 0.0)?;
        Some(of(self.start(rival)?)? / none)
    }

    /// The time of the start with `rival`, in units of that of the start with nothing.
    pub(crate) fn time_against_none(self, rival: &str) -> Option<f64> {
        self.against_none(rival, |start| start.cold_us)
    }
}

fn share(none: Option<f64>, with: Option<f64>, goal: Option<f64>) -> Figure {
    let (Some(none), Some(with), Some(goal)) = (none, with, goal) else {
        return Figure::NotMeasured;
    };
    if none - goal < RESOLUTION * none {
        return Figure::NoGap;
    }
    Figure::Of((none - with) / (none - goal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_needs_all_three() {
        assert_eq!(share(Some(100.0), Some(40.0), Some(20.0)), Figure::Of(0.75));
        assert_eq!(
            share(Some(100.0), Some(120.0), Some(20.0)),
            Figure::Of(-0.25)
        );
        assert_eq!(share(None, Some(40.0), Some(20.0)), Figure::NotMeasured);
        assert_eq!(share(Some(100.0), None, Some(20.0)), Figure::NotMeasured);
        assert_eq!(share(Some(100.0), Some(40.0), None), Figure::NotMeasured);
    }

    #[test]
    fn no_share_of_nothing() {
        assert_eq!(share(Some(100.0), Some(90.0), Some(99.5)), Figure::NoGap);
        assert_eq!(share(Some(100.0), Some(90.0), Some(101.0)), Figure::NoGap);
    }
}
