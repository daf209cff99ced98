//! One input: its name, what it holds and its bytes.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::Source;

use crate::args::Form;

/// An input that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `None`: stdin.
    path: Option<PathBuf>,
    /// For messages.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) form: Form,
}

impl Asked {
    /// The inputs that the arguments ask for: stdin if there are none.
    pub(crate) fn all(files: &[PathBuf], form: Option<Form>) -> Vec<Asked> {
        if files.is_empty() {
            return vec![Asked::stdin(form)];
        }
        files
            .iter()
            .map(|path| {
                if path.as_os_str() == "-" {
                    return Asked::stdin(form);
                }
                Asked {
                    name: path.display().to_string(),
                    form: form.unwrap_or_else(|| form_of(path)),
                    path: Some(path.clone()),
                }
            })
            .collect()
    }

    fn stdin(form: Option<Form>) -> Asked {
        Asked {
            path: None,
            name: "<stdin>".to_owned(),
            form: form.unwrap_or(Form::Ndjson),
        }
    }

    /// Adds it to the files of the run.
    pub(crate) fn add_to(&self, files: &mut Files) {
        match &self.path {
            Some(path) => files.reads(&self.name, path),
            None => files.reads_from("stdin", io::stdin()),
        }
    }

    pub(crate) fn open(&self) -> io::Result<Source> {
        match &self.path {
            Some(path) => Source::open(path),
            None => Ok(Source::stdin()),
        }
    }
}

/// What a file holds, by its ending.
fn form_of(path: &Path) -> Form {
    let ending = path.extension().map(OsStr::to_ascii_lowercase);
    match ending.as_deref().and_then(|ending| ending.to_str()) {
        Some("json") => Form::Json,
        Some("csv") => Form::Csv,
        _ => Form::Ndjson,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_a_file_holds() {
        for (file, form) in [
            ("a.json", Form::Json),
            ("b/a.JSON", Form::Json),
            ("a.csv", Form::Csv),
            ("a.ndjson", Form::Ndjson),
            ("a.jsonl", Form::Ndjson),
            ("a.log", Form::Ndjson),
            ("json", Form::Ndjson),
            ("/dev/fd/63", Form::Ndjson),
        ] {
            assert_eq!(form_of(Path::new(file)), form, "{file}");
        }
    }

    #[test]
    fn stdin_is_ndjson_unless_it_is_said_otherwise() {
        let asked = Asked::all(&[], None);
        assert_eq!((asked.len(), asked[0].form), (1, Form::Ndjson));
        let asked = Asked::all(&["a.csv".into(), "-".into()], None);
        assert_eq!(asked[0].form, Form::Csv);
        assert_eq!(
            (asked[1].name.as_str(), asked[1].form),
            ("<stdin>", Form::Ndjson)
        );
        for asked in Asked::all(&["a.csv".into(), "-".into()], Some(Form::Json)) {
            assert_eq!(asked.form, Form::Json);
        }
    }
}
