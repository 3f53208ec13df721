//! Whether an image is of the kind that a model was made for.

use super::ModelCard;

/// DICOM's codes of devices, what their images are called, and the words that a card may use for them.
const KINDS: [(&[&str], &str, &[&str]); 7] = [
    (&["CT"], "CT", &["ct"]),
    (&["MR"], "MR", &["mr", "mri"]),
    (
        &["CR", "DX", "RG", "XA", "RF", "MG"],
        "radiographs",
        &["radiograph", "radiographs", "radiography", "mammograms", "x-ray", "x-rays"],
    ),
    (&["US", "IVUS"], "ultrasound", &["ultrasound"]),
    (&["PT", "NM"], "nuclear medicine", &["pet", "spect", "nuclear"]),
    (&["OP", "OPT"], "images of the eye", &["fundus", "retina", "retinal", "oct", "eye"]),
    (&["SM", "GM"], "microscopy", &["microscopy", "micrographs", "histology", "slides"]),
];

/// What the file of an image tells of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageKind<'a> {
    /// DICOM's code of the device, or `CT` where values are Hounsfield units.
    pub modality: Option<&'a str>,
    /// It says where the sides of a patient are.
    pub of_patient: bool,
}

impl ModelCard {
    /// Why what the model finds in an image of a file may mean little: it was made for another kind, or nothing tells the kind.
    /// `None` where the card does not say what it was made for, or the kinds agree.
    pub fn doubt(&self, image: ImageKind<'_>) -> Option<String> {
        let purpose = self.made_for.trim().trim_end_matches('.');
        if purpose.is_empty() {
            return None;
        }
        let made = format!("{} was made for {purpose}", self.name);
        let lower = purpose.to_lowercase();
        let words = || lower.split(|c: char| !(c.is_alphanumeric() || c == '-'));
        let speaks_of = |names: &[&str]| words().any(|word| names.contains(&word));
        match image.modality {
            Some(code) => {
                let kind = KINDS.iter().find(|(codes, ..)| codes.contains(&code));
                let names = kind.map_or(&[][..], |(_, _, names)| names);
                let is_it = speaks_of(names) || words().any(|word| word == code.to_lowercase());
                (!is_it).then(|| format!("{made}, not for {}", kind.map_or("images of patients", |(_, name, _)| name)))
            }
            None if image.of_patient && !KINDS.iter().any(|(_, _, names)| speaks_of(names)) => {
                Some(format!("{made}, not for scans of patients"))
            }
            None => Some(format!("{made}; the file does not tell what this image is")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(made_for: &str, modality: Option<&str>, of_patient: bool) -> Option<String> {
        let card = ModelCard { name: "net".to_owned(), made_for: made_for.to_owned(), ..ModelCard::default() };
        card.doubt(ImageKind { modality, of_patient })
    }

    #[test]
    fn kinds_that_agree_need_no_word() {
        assert_eq!(doubt("", Some("CT"), true), None, "nobody knows");
        for (made_for, code) in [
            ("the lumbar spine in CT", "CT"),
            ("lesions in brain MRI.", "MR"),
            ("chest X-rays of adults", "DX"),
            ("lungs in CT and MR", "MR"),
        ] {
            assert_eq!(doubt(made_for, Some(code), true), None, "{made_for}");
        }
    }

    #[test]
    fn kinds_that_differ_and_files_that_tell_none_are_said() {
        let membranes = "membranes in electron micrographs";
        let made = format!("net was made for {membranes}");
        assert_eq!(doubt(membranes, Some("CT"), true), Some(format!("{made}, not for CT")));
        assert_eq!(doubt(membranes, Some("DX"), false), Some(format!("{made}, not for radiographs")));
        assert_eq!(doubt("brain MR", Some("CT"), true), Some("net was made for brain MR, not for CT".to_owned()));
        assert_eq!(
            doubt("muscle activity in NIfTI files", None, true),
            Some("net was made for muscle activity in NIfTI files, not for scans of patients".to_owned())
        );
        let unknown = Some(format!("{made}; the file does not tell what this image is"));
        assert_eq!(doubt(membranes, None, false), unknown, "a PNG may be anything");
        let lumbar = doubt("the lumbar spine in CT", None, true).unwrap();
        assert!(lumbar.ends_with("the file does not tell what this image is"), "a volume may be CT");
    }
}
