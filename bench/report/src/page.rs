// SPDX-License-Identifier: GPL-2.0

//! A page of words, tables and plots, and its two forms: Markdown with the plots in files beside it, and one HTML file
//! with everything in it, which needs neither JavaScript nor another file.

use std::fmt::Write as _;

use maud::{html, Markup, PreEscaped, DOCTYPE};

use crate::{
    plot::Plot,
    table::{Cell, Table, Tone},
};

const STYLE: &str = include_str!("page.css");
const LICENSE: &str = "<!-- SPDX-License-Identifier: GPL-2.0 -->\n";

pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) enum Block {
    /// What follows it up to the next one is a section.
    Section(String),
    Words(String),
    Code(String),
    Table(Table),
    /// A table that only some want to see.
    FoldedTable(Table),
    Plot(Plot),
}

impl Page {
    pub(crate) fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Plot(plot) => Some(plot),
            _ => None,
        })
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{LICENSE}# {}\n", plain(&self.title));
        for block in &self.blocks {
            text.push('\n');
            // Writing to a string does not fail.
            let _ = match block {
                Block::Section(title) => writeln!(text, "## {}", plain(title)),
                Block::Words(words) => writeln!(text, "{}", plain(words)),
                Block::Code(code) => writeln!(text, "    {}", code.replace('\n', "\n    ")),
                Block::Table(table) => {
                    writeln!(text, "{}:\n\n{}", plain(&table.caption), rows(table))
                }
                Block::FoldedTable(table) => writeln!(
                    text,
                    "<details><summary>{}</summary>\n\n{}\n</details>",
                    plain(&table.caption),
                    rows(table)
                ),
                Block::Plot(plot) => writeln!(
                    text,
                    "![{title}]({}.svg)\n\n{title}: {}",
                    plot.name,
                    plain(&plot.description),
                    title = plain(&plot.title)
                ),
            };
        }
        text
    }

    pub(crate) fn html(&self) -> String {
        let sections = || {
            let blocks = self.blocks.iter().enumerate();
            blocks.filter_map(|(index, block)| match block {
                Block::Section(title) => Some((section_id(index), title)),
                _ => None,
            })
        };
        html! {
            (DOCTYPE)
            (PreEscaped(LICENSE))
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        nav aria-label="Sections" {
                            @for (id, title) in sections() { a href={ "#" (id) } { (title) } " " }
                        }
                    }
                    main { @for (index, block) in self.blocks.iter().enumerate() { (block.html(index)) } }
                }
            }
        }
        .into_string()
    }
}

impl Block {
    fn html(&self, index: usize) -> Markup {
        html! {
            @match self {
                Self::Section(title) => h2 id=(section_id(index)) { (title) },
                Self::Words(words) => p { (words) },
                Self::Code(code) => pre { code { (code) } },
                Self::Table(table) => div class="wide" { (html_table(table, true)) },
                Self::FoldedTable(table) => details {
                    summary { (table.caption) }
                    div class="wide" { (html_table(table, false)) }
                },
                Self::Plot(plot) => figure {
                    (PreEscaped(plot.titled()))
                    figcaption { strong { (plot.title) } ": " (plot.description) }
                },
            }
        }
    }
}

impl Plot {
    /// The file: with a title, and for those who cannot see it a description.
    pub(crate) fn file(&self) -> String {
        format!("{LICENSE}{}", self.titled())
    }

    fn titled(&self) -> String {
        let Some((head, rest)) = self.svg.split_once('>') else {
            return self.svg.clone();
        };
        let name = &self.name;
        let label = html! {
            title id={ (name) "-title" } { (self.title) }
            desc id={ (name) "-desc" } { (self.description) }
        };
        format!(
            "{head} role=\"img\" aria-labelledby=\"{name}-title {name}-desc\">\n{}{rest}",
            label.into_string()
        )
    }
}

fn section_id(index: usize) -> String {
    format!("section-{index}")
}

fn html_table(table: &Table, captioned: bool) -> Markup {
    let columns = &table.columns;
    html! {
        table {
            @if captioned { caption { (table.caption) } }
            thead { tr {
                @for column in columns {
                    th scope="col" class=[column.is_figure.then_some("figure")] { (column.title) }
                }
            } }
            tbody { @for row in &table.rows { tr {
                @for (index, (cell, column)) in row.iter().zip(columns).enumerate() {
                    @let class = class(cell, column.is_figure);
                    @if index == 0 { th scope="row" class=(class) { (html_cell(cell)) } }
                    @else { td class=(class) { (html_cell(cell)) } }
                }
            } } }
        }
    }
}

fn html_cell(cell: &Cell) -> Markup {
    html! { @if cell.tone == Tone::Code { code { (cell.text) } } @else { (cell.text) } }
}

fn class(cell: &Cell, is_figure: bool) -> String {
    let tone = match cell.tone {
        Tone::Plain | Tone::Code => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Missing => "missing",
    };
    let figure = if is_figure { "figure " } else { "" };
    format!("{figure}{tone}").trim_end().to_owned()
}

/// A table's rows in Markdown.
fn rows(table: &Table) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| {
        cells.fold("|".to_owned(), |line, cell| format!("{line} {cell} |")) + "\n"
    };
    let columns = table.columns.iter();
    let mut text = line(&mut columns.clone().map(|column| plain(&column.title)));
    text += &line(&mut columns.map(|column| {
        let alignment = if column.is_figure { "---:" } else { "---" };
        alignment.to_owned()
    }));
    for row in &table.rows {
        text += &line(&mut row.iter().map(|cell| match cell.tone {
            Tone::Code => code(&cell.text),
            Tone::Good | Tone::Bad => format!("**{}**", plain(&cell.text)),
            Tone::Plain | Tone::Missing => plain(&cell.text),
        }));
    }
    text.pop();
    text
}

/// Text that Markdown takes for nothing else.
fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut plain, letter| {
        match letter {
            '\n' => plain.push(' '),
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => plain.extend(['\\', letter]),
            _ => plain.push(letter),
        }
        plain
    })
}

/// Text as code in a table, where a bar would end the cell even in code.
fn code(text: &str) -> String {
    let text = text.replace('\n', " ").replace('|', "\\|");
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if text.contains('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(plain("a|b <c> *d* e_f"), "a\\|b &lt;c> \\*d\\* e\\_f");
        assert_eq!(code("a | b"), "`a \\| b`");
        assert_eq!(code("a `b`"), "`` a `b` ``");

        let page = Page {
            title: "<b>".to_owned(),
            blocks: vec![Block::Words("a & <script>".to_owned())],
        };
        let html = page.html();
        assert!(html.contains("<h1>&lt;b&gt;</h1>"), "{html}");
        assert!(html.contains("<p>a &amp; &lt;script&gt;</p>"), "{html}");
    }
}
