//! The report of a study: one HTML file that needs nothing else, with each table as CSV beside it.

use super::{StudyError, StudyFile, StudyOptions};
use crate::data::write_bytes_atomic;
use crate::study::report::{encode_png, utc_now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Rgba, RgbaImage};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::PathBuf;

const CSS: &str = include_str!("../report/report.css");
/// Numbers stay in one line; words and headings wrap, so that no column lies beyond the page. On paper everything wraps.
const OWN_CSS: &str = ".pictures{display:grid;gap:10px;align-items:end}.pictures img{width:100%;image-rendering:pixelated}\
.pictures figure{margin:0}.pictures figcaption{font-size:13px;color:var(--soft)}.chart{max-width:900px}\
table{white-space:normal}td{white-space:nowrap}td.word{white-space:normal;min-width:9ch}thead th{vertical-align:bottom}\
.facts td{overflow-wrap:anywhere}h3{margin:20px 0 8px}\
@media print{.scroll{overflow:visible}table{font-size:9px}td{white-space:normal}th,td{padding:3px 4px}}";

/// Tables of more rows than this are folded away.
const LONG: usize = 100;

/// A table, in the report and as a file.
pub(super) struct Table {
    /// Over it.
    pub title: String,
    /// Its file beside the report, `along.csv`.
    pub file: &'static str,
    /// What a reader must know of it.
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A picture with what is said under it.
pub(super) struct Shown {
    pub caption: String,
    png: Vec<u8>,
}

impl Shown {
    /// A grey or RGB image in [0, 1], `[channels, height, width]`.
    pub fn image(
        caption: impl Into<String>,
        values: &[f32],
        [channels, height, width]: [usize; 3],
    ) -> Result<Self, StudyError> {
        let plane = height * width;
        let level = |channel: usize, i: usize| {
            let channel = if channels == 3 { channel } else { 0 };
            (values.get(channel * plane + i).copied().unwrap_or(0.0).clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let picture = RgbaImage::from_fn(width as u32, height as u32, |x, y| {
            let i = y as usize * width + x as usize;
            Rgba([level(0, i), level(1, i), level(2, i), 255])
        });
        Ok(Self { caption: caption.into(), png: encode_png(&picture)? })
    }
}

/// A part of the report.
pub(super) enum Section {
    Table(Table),
    /// A table with more columns than a page is wide: some of them under each title, in one file.
    Parts {
        table: Table,
        parts: Vec<(String, Vec<usize>)>,
    },
    /// An SVG.
    Chart {
        title: String,
        svg: String,
        caption: String,
    },
    /// Rows of pictures, as many columns as the first row has.
    Pictures {
        title: String,
        rows: Vec<Vec<Shown>>,
        caption: String,
    },
}

/// All that a report says.
#[derive(Default)]
pub(super) struct Page {
    pub headline: String,
    pub lead: String,
    /// Name, value, detail.
    pub tiles: Vec<[String; 3]>,
    pub notes: Vec<String>,
    pub sections: Vec<Section>,
    /// Where it comes from.
    pub facts: Vec<(String, String)>,
}

impl Page {
    /// Writes the report and its tables; the report's path.
    pub fn write(&self, study: &StudyFile, options: &StudyOptions) -> Result<PathBuf, StudyError> {
        for section in &self.sections {
            if let Section::Table(table) | Section::Parts { table, .. } = section {
                write_bytes_atomic(&options.out.join(table.file), table.csv().as_bytes())?;
            }
        }
        let path = options.out.join("report.html");
        write_bytes_atomic(&path, self.html(study, options).as_bytes())?;
        Ok(path)
    }

    fn html(&self, study: &StudyFile, options: &StudyOptions) -> String {
        let mut facts = self.facts.clone();
        facts.extend([
            ("Scale".to_owned(), options.scale.name().to_owned()),
            ("Device".to_owned(), options.device_name.clone()),
            ("Program".to_owned(), format!("Epsiloscope {}", env!("CARGO_PKG_VERSION"))),
            ("Command".to_owned(), options.command.clone()),
            ("Written".to_owned(), utc_now()),
        ]);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                    title { (study.title) }
                    style { (PreEscaped(CSS)) (PreEscaped(OWN_CSS)) }
                }
                body {
                    main {
                        header {
                            p.kicker { "Epsiloscope study: " (study.title) ". After " (study.paper) }
                            h1 { (self.headline) }
                            p.lead { (self.lead) }
                        }
                        section.tiles aria-label="Summary" {
                            @for [name, value, detail] in &self.tiles {
                                .tile { p.name { (name) } p.value { (value) } p.detail { (detail) } }
                            }
                        }
                        section.notes aria-label="Notes" {
                            h2 { "Read this first" }
                            ul { @for note in &self.notes { li { (note) } } }
                        }
                        @for section in &self.sections { section { (section.html()) } }
                        section {
                            h2 { "Where it comes from" }
                            .scroll.facts { table { tbody { @for (name, text) in &facts {
                                tr { th.word scope="row" { (name) } td.word { (text) } }
                            } } } }
                        }
                    }
                }
            }
        };
        page.into_string()
    }
}

impl Section {
    fn html(&self) -> Markup {
        match self {
            Self::Table(table) => {
                let all: Vec<usize> = (0..table.columns.len()).collect();
                html! {
                    h2 { (table.title) }
                    @if table.rows.len() > LONG {
                        details { summary { (table.rows.len()) " rows" } (table.html(&all)) }
                    } @else { (table.html(&all)) }
                    p.caption { (table.caption) " In full in " (table.file) "." }
                }
            }
            Self::Parts { table, parts } => html! {
                h2 { (table.title) }
                @for (title, columns) in parts { h3 { (title) } (table.html(columns)) }
                p.caption { (table.caption) " In full in " (table.file) "." }
            },
            Self::Chart { title, svg, caption } => html! {
                h2 { (title) }
                .figure.chart { (PreEscaped(svg)) }
                p.caption { (caption) }
            },
            Self::Pictures { title, rows, caption } => html! {
                h2 { (title) }
                @let columns = rows.first().map_or(1, Vec::len);
                .pictures style={ "grid-template-columns:repeat(" (columns) ",1fr)" } {
                    @for shown in rows.iter().flatten() {
                        figure {
                            img src={ "data:image/png;base64," (STANDARD.encode(&shown.png)) } alt=(shown.caption);
                            figcaption { (shown.caption) }
                        }
                    }
                }
                p.caption { (caption) }
            },
        }
    }
}

impl Table {
    /// Some of its columns.
    fn html(&self, columns: &[usize]) -> Markup {
        // Numbers stand at the right, words at the left, each under its heading.
        let cells = |row: &[String]| -> Vec<(bool, String)> {
            columns.iter().filter_map(|&i| Some((self.has_words(i), row.get(i)?.clone()))).collect()
        };
        html! {
            .scroll { table {
                thead { tr { @for (words, name) in cells(&self.columns) {
                    th class=[words.then_some("word")] { (name) }
                } } }
                tbody { @for row in &self.rows { tr {
                    @for (place, (words, cell)) in cells(row).into_iter().enumerate() {
                        @if place == 0 { th class=[words.then_some("word")] scope="row" { (cell) } }
                        @else { td class=[words.then_some("word")] { (cell) } }
                    }
                } } }
            } }
        }
    }

    /// Whether any cell of a column is more than a number.
    fn has_words(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !is_number(cell)))
    }

    fn csv(&self) -> String {
        let quoted = |cell: &String| {
            if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        };
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        line(&self.columns) + &self.rows.iter().map(line).collect::<String>()
    }
}

/// `0.123 ± 0.045`.
pub(super) fn plus_minus((mean, deviation): (f64, f64), decimals: usize) -> String {
    format!("{mean:.decimals$} ± {deviation:.decimals$}")
}

/// A number, one with its spread or its interval, `3 of 4`, or what stands for none.
fn is_number(cell: &str) -> bool {
    cell.split_whitespace().all(|part| {
        matches!(part, "–" | "±" | "to" | "of" | "%" | "none")
            || part.trim_matches(['(', ')', '+', ',']).split('/').all(|number| number.parse::<f64>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        Table {
            title: "Claims".to_owned(),
            file: "claims.csv",
            caption: String::new(),
            columns: row(["claim", "paper", "here", "agrees"]),
            rows: vec![
                row(["A raises B", "+0.09", "+0.050 (+0.010 to +0.090)", "–"]),
                row(["B raises A", "–", "0.1 ± 0.2", "as the paper, mostly"]),
            ],
        }
    }

    #[test]
    fn words_stand_at_the_left_and_wrap_and_numbers_do_not() {
        let page = Section::Table(table()).html().into_string();
        for part in [
            "<th class=\"word\">claim</th>",
            "<th>paper</th>",
            "<th class=\"word\" scope=\"row\">A raises B</th>",
            "<td>+0.050 (+0.010 to +0.090)</td>",
            // One word makes a column of words, heading and all.
            "<th class=\"word\">agrees</th>",
            "<td class=\"word\">–</td>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(is_number("30 of 30") && is_number("0.02 (5.1/255)") && !is_number("not told: 0 seeds"));
    }

    #[test]
    fn a_table_in_parts_is_one_file_and_shows_each_column_where_it_was_put() {
        let parts = vec![("First".to_owned(), vec![0, 1]), ("Second".to_owned(), vec![0, 2, 3])];
        let page = Section::Parts { table: table(), parts }.html().into_string();
        let (first, second) = page.split_once("Second").unwrap();
        assert!(first.contains("First") && first.contains("paper") && !first.contains("agrees"), "{page}");
        assert!(second.contains("A raises B") && second.contains("agrees") && !second.contains("paper</th>"), "{page}");
        assert!(table().csv().starts_with("claim,paper,here,agrees\n"));
    }
}
