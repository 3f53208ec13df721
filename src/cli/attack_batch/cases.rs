//! The table of cases as it is written: what each row names, and the faults of the table.

use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};

/// One row of the table.
pub(super) struct Row {
    pub input: PathBuf,
    pub label: String,
    pub epsilon: Option<f64>,
    pub limits: Option<(PathBuf, PathBuf)>,
}

pub(super) fn read_rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let unreadable = || format!("{}: cannot be read as a table", path.display());
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(unreadable)?;
    let headers = reader.headers().with_context(unreadable)?.clone();
    let column = |name: &str| headers.iter().position(|h| h == name);
    let needed = |name: &str| {
        column(name).with_context(|| format!("{}: has no column {name}; give input, label and epsilon", path.display()))
    };
    let (input, label, epsilon) = (needed("input")?, needed("label")?, needed("epsilon")?);
    let limits = match (column("lower"), column("upper")) {
        (Some(lower), Some(upper)) => Some((lower, upper)),
        (None, None) => None,
        _ => bail!("{}: has one of the columns lower and upper; give both, or none", path.display()),
    };
    let mut rows = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.with_context(unreadable)?;
        let cell = |i: usize| record.get(i).filter(|c| !c.is_empty());
        let at = |cause: &str| format!("{}: row {number} {cause}", path.display());
        let limits = match limits.map(|(lower, upper)| (cell(lower), cell(upper))) {
            Some((Some(lower), Some(upper))) => Some((folder.join(lower), folder.join(upper))),
            None | Some((None, None)) => None,
            Some(_) => bail!(at("has one of lower and upper; give both, or none")),
        };
        let epsilon = match cell(epsilon) {
            Some(text) => Some(parse_epsilon(text).with_context(|| at("has a bad epsilon"))?),
            None => None,
        };
        ensure!(epsilon.is_some() || limits.is_some(), at("has neither an epsilon nor a box; give one of them"));
        let label = cell(label).with_context(|| at("has no label"))?;
        rows.push(Row {
            input: folder.join(cell(input).with_context(|| at("has no input"))?),
            // A class by its number, or a file beside the table.
            label: match label.parse::<usize>() {
                Ok(class) => format!("class:{class}"),
                Err(_) if label.starts_with("class:") => label.to_owned(),
                Err(_) => folder.join(label).to_string_lossy().into_owned(),
            },
            epsilon,
            limits,
        });
    }
    ensure!(!rows.is_empty(), "{}: has no rows", path.display());
    Ok(rows)
}

/// `4/255` or `0.0157`; an L2 radius may be larger than 1.
pub(in crate::cli) fn parse_epsilon(text: &str) -> anyhow::Result<f64> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
        None => number(text),
    };
    value
        .filter(|v| v.is_finite() && *v >= 0.0)
        .with_context(|| format!("‘{text}’ is no ε; write a fraction of the bounds’ width, e.g. 4/255 or 0.0157"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilons_are_fractions_or_decimals() {
        assert_eq!(parse_epsilon("4/255").unwrap(), 4.0 / 255.0);
        assert_eq!(parse_epsilon(" 2.5 ").unwrap(), 2.5);
        for bad in ["", "-1", "x", "1/0", "nan"] {
            assert!(parse_epsilon(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tables_are_read_and_their_faults_named_with_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_rows(&path)
        };
        let rows =
            read("input, label, epsilon, lower, upper\na.npy, 3, 4/255,,\nb.npy, m.npy,, l.npy, u.npy\n").unwrap();
        assert_eq!((rows[0].label.as_str(), rows[0].epsilon), ("class:3", Some(4.0 / 255.0)));
        assert!(rows[0].limits.is_none() && rows[1].epsilon.is_none());
        assert_eq!(rows[1].limits.as_ref().unwrap().1, folder.path().join("u.npy"));
        assert_eq!(Path::new(&rows[1].label), folder.path().join("m.npy"));
        for (text, said) in [
            ("input,label\na,1\n", "no column epsilon"),
            ("input,label,epsilon\n", "no rows"),
            ("input,label,epsilon\na,1,x\n", "row 0 has a bad epsilon"),
            ("input,label,epsilon\na,1,\n", "row 0 has neither"),
            ("input,label,epsilon,lower,upper\na,1,0.1,l,\n", "row 0 has one of lower and upper"),
            ("input,label,epsilon,lower\na,1,0.1,l\n", "one of the columns lower and upper"),
            ("input,label,epsilon\na,1,0.1,2\n", "cannot be read as a table"),
            ("", "no column input"),
        ] {
            let error = format!("{:#}", read(text).err().unwrap());
            assert!(error.contains(said) && error.contains("cases.csv"), "{error}");
        }
    }
}
