// SPDX-License-Identifier: GPL-2.0

//! The program as it is run, on a results directory that looks like one of the benchmark's (`results/`; its figures
//! are invented). `cargo insta review` shows what changed in the report.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{json, Value};
use tempfile::TempDir;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/results");

fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn bench_report(results: &Path, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-report"))
        .arg(results)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap()
}

/// The report of a directory that must have one.
fn report(results: &Path) -> (TempDir, String, String) {
    let out = temporary();
    let ran = bench_report(results, out.path());
    assert!(ran.status.success(), "{ran:?}");
    let read = |name| fs::read_to_string(out.path().join(name)).unwrap();
    let (markdown, html) = (read("report.md"), read("report.html"));
    (out, markdown, html)
}

fn results(name: &str) -> Value {
    let text = fs::read_to_string(Path::new(RESULTS).join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A directory with other results for what the fixture is about.
fn directory(about: &Value, starts: &Value) -> TempDir {
    let directory = temporary();
    fs::write(directory.path().join("about.json"), about.to_string()).unwrap();
    fs::write(directory.path().join("results.json"), starts.to_string()).unwrap();
    directory
}

fn svgs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "svg"))
        .collect();
    paths.sort();
    paths
}

/// The cells of the first row of the Markdown that begins with `first`.
fn row<'a>(markdown: &'a str, first: &str) -> Vec<&'a str> {
    let start = format!("| {first} |");
    let line = markdown.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {first} in\n{markdown}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn markdown() {
    let (_out, markdown, _) = report(Path::new(RESULTS));
    insta::assert_snapshot!("report", markdown);
}

#[test]
fn the_same_results_give_the_same_report() {
    let (one, ..) = report(Path::new(RESULTS));
    let (other, ..) = report(Path::new(RESULTS));
    for entry in fs::read_dir(one.path()).unwrap() {
        let path = entry.unwrap().path();
        let twin = other.path().join(path.file_name().unwrap());
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(twin).unwrap(),
            "{path:?}"
        );
    }
}

#[test]
fn every_plot_is_there_and_says_what_it_shows() {
    let (out, markdown, html) = report(Path::new(RESULTS));
    let plots = svgs(out.path());
    // Three for each of three devices, one time line, two costs.
    assert_eq!(plots.len(), 12);
    for path in plots {
        let text = fs::read_to_string(&path).unwrap();
        let svg = roxmltree::Document::parse(&text).unwrap();
        let of = |name: &str| {
            let node = svg
                .descendants()
                .find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name)));
            node.and_then(|node| Some((node.attribute("id")?, node.text()?)))
                .unwrap()
        };
        let ((title_id, title), (desc_id, _)) = (of("title"), of("desc"));
        assert_eq!(
            svg.root_element().attribute("aria-labelledby"),
            Some(format!("{title_id} {desc_id}").as_str())
        );
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(markdown.contains(&format!("![{title}]({name})")), "{name}");
        assert!(
            html.contains(&format!("<title id=\"{title_id}\">")),
            "{name}"
        );
    }
}

#[test]
fn the_page_needs_no_other_file() {
    let (_out, _, html) = report(Path::new(RESULTS));
    for loads in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!html.contains(loads), "{loads}");
    }
    // An id twice would lead a reader to the wrong plot.
    let mut ids: Vec<_> = html.split(" id=\"").skip(1).collect();
    ids.iter_mut()
        .for_each(|id| *id = id.split('"').next().unwrap());
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn the_share_of_the_way_is_between_nothing_and_the_limit() {
    let start = |rival: &str, cold: u32, kb: u32| {
        json!({"program": "git", "device": "network", "rival": rival, "cold_us": cold, "warm_us": 2000,
            "limit_us": 5000, "majflt": 3, "reads": 10, "kb": kb})
    };
    let starts = json!([
        start("none", 25_000, 2892),
        start("pbitmap", 7_000, 920),
        start("slurp", 20_000, 5548)
    ]);
    let directory = directory(&results("about.json"), &starts);
    let (_out, markdown, _) = report(directory.path());
    assert!(markdown.contains("90.0 % (1 of 5 programs)"), "{markdown}");
    assert_eq!(
        row(
            &markdown,
            "network block: share of the way to the limit, mean"
        ),
        [
            "network block: share of the way to the limit, mean",
            "at least 92.0 %",
            "90.0 % (1 of 5 programs)",
            "**not met by 2.0 %**"
        ]
    );
    assert_eq!(
        row(&markdown, "git"),
        [
            "git",
            "2.00",
            "5.00",
            "25.0",
            "7.00",
            "90.0 %",
            "1.40",
            "3 → 3",
            "10 → 10",
            "2,892 → 920"
        ]
    );
    assert_eq!(
        row(&markdown, "network block: git").last(),
        Some(&"**met**")
    );
    // (25 - 20) / (25 - 2)
    assert_eq!(
        row(&markdown, "whole files"),
        [
            "whole files",
            "1 of 5 programs",
            "80.0 %",
            "21.7 %",
            "191.8 %",
            "100.0 %",
            "not measured"
        ]
    );
}

#[test]
fn what_is_missing_is_said_and_not_made_up() {
    let mut about = results("about.json");
    about.as_object_mut().unwrap().remove("overheads");
    let (_out, markdown, html) = report(directory(&about, &json!([])).path());
    assert!(markdown.contains("Nothing was measured on this device."));
    for verdict in ["**met", "**not met"] {
        assert!(!markdown.contains(verdict), "{markdown}");
    }
    assert!(html.contains("not measured"));

    let starts = json!([
        {"program": "git", "device": "sd", "rival": "none", "cold_us": 20000, "warm_us": 2000},
        {"program": "git", "device": "sd", "rival": "preload", "cold_us": 1, "failed": "it <b>does not</b> work | here"},
    ]);
    let (_out, markdown, html) = report(directory(&results("about.json"), &starts).path());
    let git = row(&markdown, "git");
    assert_eq!(
        git.get(1..6).unwrap(),
        [
            "2.00",
            "not measured",
            "20.0",
            "not measured",
            "not measured"
        ]
    );
    // A start that failed early is not a fast one.
    assert_eq!(
        row(&markdown, "preload").get(1..4).unwrap(),
        ["0 of 5 programs", "not measured", "not measured"]
    );
    assert!(
        markdown.contains("it &lt;b>does not&lt;/b> work \\| here"),
        "{markdown}"
    );
    assert!(html.contains("it &lt;b&gt;does not&lt;/b&gt; work | here"));
}

#[test]
fn a_rival_that_is_faster_is_named() {
    let start = |rival: &str, cold: u32| json!({"program": "perl", "device": "sd", "rival": rival, "cold_us": cold, "warm_us": 50_000, "limit_us": 51_000});
    let at = |ours: u32| {
        let starts = json!([
            start("none", 100_000),
            start("pbitmap", ours),
            start("fast", 60_000)
        ]);
        report(directory(&results("about.json"), &starts).path()).1
    };
    let heading = "Starts that a rival makes faster by more than 2 %";
    assert!(!at(61_200).contains(heading));
    let markdown = at(61_300);
    assert!(markdown.contains(heading));
    assert_eq!(
        row(&markdown, "perl"),
        ["perl", "SD card", "FAST", "60.0", "61.3", "2.2 %"]
    );

    let heading = "Starts that take longer than with nothing by more than 1 %";
    assert!(!at(101_000).contains(heading));
    let markdown = at(101_100);
    assert!(markdown.contains(heading));
    assert_eq!(
        row(&markdown, "perl"),
        ["perl", "SD card", "nothing", "100.0", "101.1", "1.1 %"]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = directory(&results("about.json"), &json!({"not": "a list"}));
    let out = temporary();
    let error = |ran: Output| {
        assert_eq!(ran.status.code(), Some(1));
        String::from_utf8(ran.stderr).unwrap()
    };
    assert!(
        error(bench_report(directory.path(), out.path())).contains("results.json: invalid type")
    );
    fs::remove_file(directory.path().join("about.json")).unwrap();
    assert!(error(bench_report(directory.path(), out.path())).contains("about.json is missing"));

    let ran = Command::new(env!("CARGO_BIN_EXE_bench-report"))
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
}
