// SPDX-License-Identifier: GPL-2.0

//! What the figures come to, beside what was asked of them.

use crate::{
    results::{Clock, Device, Figure, Overheads, Place, Results, Rival, NONE, OURS, SLURP},
    table::{milliseconds, percent, several, times},
};

/// How much longer than with nothing a start may take.
const SLOWER: f64 = 1.01;
/// How much longer than with a rival.
const BEATEN: f64 = 1.02;
/// By which factor whole-file reading has to read more ...
const FEWER_BYTES: f64 = 2.0;
/// ... for programs with more than so many KB of files.
const LARGE_KB: f64 = 4096.0;
/// What four programs may take on the network block device, in microseconds.
const ASKED_US: [(&str, f64); 4] = [
    ("python3", 345_000.0),
    ("perl", 61_000.0),
    ("git", 7_200.0),
    ("clang", 330_000.0),
];

/// One figure of several programs.
pub(crate) struct Figures<'a> {
    of: Vec<(Place<'a>, f64)>,
    missing: usize,
    no_gap: usize,
}

/// One thing that was asked.
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) asked: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
    /// By how much it is not met.
    pub(crate) short_by: Option<String>,
}

/// What is asked of a figure.
#[derive(Clone, Copy)]
enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure that something is asked of.
struct Measured {
    value: Option<f64>,
    /// What it is a figure of.
    of: String,
    /// How many figures are not in it that ought to be.
    missing: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Met,
    /// By all that was measured, which is not all.
    MetSoFar,
    NotMet,
    NotMeasured,
}

/// A start that took longer than another one of the same program on the same device.
pub(crate) struct Slower<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) than: &'a Rival,
    pub(crate) ours_us: f64,
    pub(crate) theirs_us: f64,
}

/// All comparisons of one kind.
pub(crate) struct Comparisons<'a> {
    pub(crate) lost: Vec<Slower<'a>>,
    pub(crate) made: usize,
    missing: usize,
}

impl<'a> Figures<'a> {
    pub(crate) fn new(
        places: impl Iterator<Item = Place<'a>>,
        figure: impl Fn(Place<'a>) -> Figure,
    ) -> Self {
        let mut figures = Self {
            of: Vec::new(),
            missing: 0,
            no_gap: 0,
        };
        for place in places {
            match figure(place) {
                Figure::Of(value) => figures.of.push((place, value)),
                Figure::NoGap => figures.no_gap += 1,
                Figure::NotMeasured => figures.missing += 1,
            }
        }
        figures
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.of.iter().map(|(_, value)| *value)
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (!self.of.is_empty()).then(|| self.values().sum::<f64>() / self.of.len() as f64)
    }

    pub(crate) fn least(&self) -> Option<(Place<'a>, f64)> {
        self.of
            .iter()
            .copied()
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    pub(crate) fn greatest(&self) -> Option<(Place<'a>, f64)> {
        self.of
            .iter()
            .copied()
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// "3 programs", "3 of 5 programs".
    pub(crate) fn counted(&self, what: &str) -> String {
        match self.missing {
            0 => several(self.len(), what),
            missing => format!("{} of {}", self.len(), several(self.len() + missing, what)),
        }
    }
}

impl Verdict {
    fn new(met: Option<bool>, missing: usize) -> Self {
        match (met, missing) {
            (None, _) => Self::NotMeasured,
            (Some(false), _) => Self::NotMet,
            (Some(true), 0) => Self::Met,
            (Some(true), _) => Self::MetSoFar,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::MetSoFar => "met as far as measured",
            Self::NotMet => "not met",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Slower<'_> {
    /// By which share of the other start's time.
    pub(crate) fn by(&self) -> f64 {
        self.ours_us / self.theirs_us - 1.0
    }
}

impl<'a> Comparisons<'a> {
    /// Where our start takes longer than with nothing by more than the clock's resolution.
    pub(crate) fn with_nothing(results: &'a Results) -> Self {
        let nothing = results.about.rivals.iter().filter(|it| it.name == NONE);
        Self::new(results, nothing, SLOWER)
    }

    /// Where a rival is faster than ours, and by more than a little.
    pub(crate) fn with_rivals(results: &'a Results) -> Self {
        Self::new(results, results.others(), BEATEN)
    }

    fn new(results: &'a Results, rivals: impl Iterator<Item = &'a Rival>, tolerance: f64) -> Self {
        let mut comparisons = Self {
            lost: Vec::new(),
            made: 0,
            missing: 0,
        };
        for rival in rivals {
            for place in results.places() {
                let (Some(ours_us), Some(theirs_us)) = (place.cold(OURS), place.cold(&rival.name))
                else {
                    // A rival that does not work there is not faster.
                    let failed = place
                        .said(&rival.name)
                        .is_some_and(|it| it.failed.is_some());
                    comparisons.missing += usize::from(!failed || place.cold(OURS).is_none());
                    continue;
                };
                comparisons.made += 1;
                if ours_us > tolerance * theirs_us {
                    comparisons.lost.push(Slower {
                        place,
                        than: rival,
                        ours_us,
                        theirs_us,
                    });
                }
            }
        }
        comparisons
            .lost
            .sort_by(|one, other| other.by().total_cmp(&one.by()));
        comparisons
    }

    /// "none of 5 starts", "2 of 5 starts".
    fn lost_of(&self, what: &str) -> String {
        let made = several(self.made, what);
        match self.lost.len() {
            0 => format!("none of {made}"),
            lost => format!("{lost} of {made}"),
        }
    }

    fn bar(&self, what: &str) -> Bar {
        let measured = format!("{} of {}", self.lost.len(), self.made);
        Bar {
            what: what.to_owned(),
            asked: "none".to_owned(),
            measured: match self.missing {
                0 => measured,
                missing => format!("{measured}, {missing} not measured"),
            },
            verdict: Verdict::new(
                (self.made != 0).then_some(self.lost.is_empty()),
                self.missing,
            ),
            short_by: None,
        }
    }
}

/// The device that most of the bar is about: the network block model, 0.5 ms and 200 MB/s.
pub(crate) fn network(results: &Results) -> Option<&Device> {
    results.about.devices.iter().find(|device| {
        device.latency_us == Some(500.0)
            && device.mb_per_s == Some(200.0)
            && device.filesystem != "squashfs"
    })
}

impl Bar {
    fn new(what: &str, asked: Asked, measured: Measured, write: fn(f64) -> String) -> Self {
        let (words, bound, sign) = match asked {
            Asked::AtLeast(bound) => ("at least", bound, 1.0),
            Asked::AtMost(bound) => ("at most", bound, -1.0),
        };
        let short = measured.value.map(|value| sign * (bound - value));
        Self {
            what: what.to_owned(),
            asked: format!("{words} {}", write(bound)),
            measured: measured.value.map_or_else(String::new, |value| {
                format!("{}{}", write(value), measured.of)
            }),
            verdict: Verdict::new(short.map(|short| short <= 0.0), measured.missing),
            short_by: short.filter(|short| *short > 0.0).map(write),
        }
    }
}

impl Measured {
    fn mean(figures: &Figures<'_>, what: &str) -> Self {
        Self {
            value: figures.mean(),
            of: format!(" ({})", figures.counted(what)),
            missing: figures.missing,
        }
    }

    fn extreme(figures: &Figures<'_>, figure: Option<(Place<'_>, f64)>) -> Self {
        Self {
            value: figure.map(|(_, value)| value),
            of: figure.map_or_else(String::new, |(place, _)| {
                format!(" ({}, {})", place.program.name, place.device.title)
            }),
            missing: figures.missing,
        }
    }
}

/// Every bar with what was measured.
pub(crate) fn bars(results: &Results) -> Vec<Bar> {
    let mut bars = network_bars(results);

    bars.push(
        Comparisons::with_nothing(results)
            .bar("every device: starts that take longer than with nothing by more than 1 %"),
    );
    let limit = Figures::new(results.places(), |it| it.times_the_limit(OURS));
    bars.push(Bar::new(
        "every device: times the physical limit, mean",
        Asked::AtMost(1.15),
        Measured::mean(&limit, "start"),
        times,
    ));
    bars.push(Bar::new(
        "every device: times the physical limit, worst",
        Asked::AtMost(1.4),
        Measured::extreme(&limit, limit.greatest()),
        times,
    ));
    bars.push(
        Comparisons::with_rivals(results)
            .bar("every device: starts that a rival makes faster by more than 2 %"),
    );

    let large = results
        .places()
        .filter(|place| place.program.files_kb.is_some_and(|kb| kb > LARGE_KB));
    let slurp = Figures::new(large, |place| {
        let kb = |rival| place.start(rival)?.kb.filter(|kb| *kb > 0.0);
        let (theirs, ours) = (kb(SLURP), kb(OURS));
        theirs.zip(ours).map(|(theirs, ours)| theirs / ours).into()
    });
    bars.push(Bar::new(
        "programs with more than 4 MB of files: times the bytes that reading whole files takes, least",
        Asked::AtLeast(FEWER_BYTES),
        Measured::extreme(&slurp, slurp.least()),
        times,
    ));

    let overheads = results.about.overheads;
    let overhead = |of: fn(Overheads) -> f64| overheads.map(|it| of(it) / 100.0);
    for (what, asked, value) in [
        (
            "exec that is not annotated",
            0.005,
            overhead(|it| it.unannotated_pct),
        ),
        (
            "exec that is annotated, warm",
            0.02,
            overhead(|it| it.annotated_warm_pct),
        ),
        (
            "exit of 1,000 recorded pages",
            0.02,
            overhead(|it| it.exit_pct),
        ),
    ] {
        let measured = Measured {
            value,
            of: String::new(),
            missing: 0,
        };
        bars.push(Bar::new(
            &format!("{what}: longer than without the module by"),
            Asked::AtMost(asked),
            measured,
            |share| format!("{:.2} %", 100.0 * share),
        ));
    }
    bars
}

fn network_bars(results: &Results) -> Vec<Bar> {
    let device = network(results);
    let places = || device.into_iter().flat_map(|device| results.on(device));
    let way = Figures::new(places(), |it| it.way_to_limit(OURS));
    let shorter = Figures::new(places(), |it| it.shortening(OURS));
    let mut bars = vec![
        Bar::new(
            "network block: share of the way to the limit, mean",
            Asked::AtLeast(0.92),
            Measured::mean(&way, "program"),
            percent,
        ),
        Bar::new(
            "network block: share of the way to the limit, least",
            Asked::AtLeast(0.80),
            Measured::extreme(&way, way.least()),
            percent,
        ),
        Bar::new(
            "network block: cold start shorter by, mean",
            Asked::AtLeast(0.50),
            Measured::mean(&shorter, "program"),
            percent,
        ),
    ];
    for (name, asked_us) in ASKED_US {
        let place = places().find(|place| place.program.name == name);
        bars.push(Bar::new(
            &format!("network block: {name}"),
            Asked::AtMost(asked_us),
            Measured {
                value: place.and_then(|place| place.cold(OURS)),
                of: String::new(),
                missing: 0,
            },
            |us| format!("{} ms", milliseconds(us)),
        ));
    }
    bars
}

/// The same in sentences.
pub(crate) fn words(results: &Results) -> Vec<String> {
    let mut words = Vec::new();
    match network(results) {
        Some(device) => words.push(device_words(results, device)),
        None => words.push("The network block model was not part of this run.".to_owned()),
    }

    let limit = Figures::new(results.places(), |it| it.times_the_limit(OURS));
    if let (Some(mean), Some((worst, most))) = (limit.mean(), limit.greatest()) {
        words.push(format!(
            "Over all devices, a start takes {} times what physics leaves of it, in the mean of {}; at most {} times \
             ({} on {}).",
            times(mean),
            several(limit.len(), "start"),
            times(most),
            worst.program.name,
            worst.device.title
        ));
    }

    let nothing = Comparisons::with_nothing(results);
    let rivals = Comparisons::with_rivals(results);
    words.push(format!(
        "Longer than with nothing by more than 1 %: {}. Slower than with a rival by more than 2 %: {}.",
        nothing.lost_of("start"),
        rivals.lost_of("comparison")
    ));

    let no_gap = Figures::new(results.places(), |it| it.way_to_limit(OURS)).no_gap;
    if no_gap != 0 {
        words.push(format!(
            "For {} the limit is within 1 % of the start with nothing: there is no way to have a share of, and no \
             mean of shares counts them.",
            several(no_gap, "start")
        ));
    }
    if results.about.clock == Clock::Real {
        words.push("This run was in real time; the bar is for virtual time.".to_owned());
    }
    words
}

fn device_words(results: &Results, device: &Device) -> String {
    let way = Figures::new(results.on(device), |it| it.way_to_limit(OURS));
    let shorter = Figures::new(results.on(device), |it| it.shortening(OURS));
    let (Some(share), Some((last, least)), Some(shortening)) =
        (way.mean(), way.least(), shorter.mean())
    else {
        return format!(
            "On {}, too little was measured to say anything.",
            device.title
        );
    };
    format!(
        "On {}, pbitmap takes a start {} of the way from the time with nothing to the physical limit, in the mean of \
         {}; the least far {}, {}. The cold start is {} shorter in the mean.",
        device.title,
        percent(share),
        way.counted("program"),
        last.program.name,
        percent(least),
        percent(shortening)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(asked: Asked, value: Option<f64>, missing: usize) -> Bar {
        let measured = Measured {
            value,
            of: String::new(),
            missing,
        };
        Bar::new("", asked, measured, percent)
    }

    #[test]
    fn a_bar_is_met_at_its_height() {
        assert_eq!(
            bar(Asked::AtLeast(0.92), Some(0.92), 0).verdict,
            Verdict::Met
        );
        assert_eq!(
            bar(Asked::AtMost(0.92), Some(0.92), 0).verdict,
            Verdict::Met
        );
    }

    #[test]
    fn what_is_not_met_says_by_how_much() {
        let low = bar(Asked::AtLeast(0.92), Some(0.9), 0);
        assert_eq!(low.verdict, Verdict::NotMet);
        assert_eq!(low.short_by.as_deref(), Some("2.0 %"));
        let high = bar(Asked::AtMost(0.92), Some(0.95), 0);
        assert_eq!(high.verdict, Verdict::NotMet);
        assert_eq!(high.short_by.as_deref(), Some("3.0 %"));
    }

    #[test]
    fn nothing_is_met_that_was_not_measured() {
        assert_eq!(
            bar(Asked::AtLeast(0.0), None, 3).verdict,
            Verdict::NotMeasured
        );
        assert_eq!(
            bar(Asked::AtLeast(0.5), Some(0.6), 1).verdict,
            Verdict::MetSoFar
        );
        assert_eq!(
            bar(Asked::AtLeast(0.5), Some(0.4), 1).verdict,
            Verdict::NotMet
        );
    }
}
