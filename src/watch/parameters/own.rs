//! Which parameter a name means: a row of the table, or what one camera of several has in that row for itself,
//! as `front.threshold.failure`.

use std::fmt;

use super::table::CAMERAS;
use super::{Declaration, ParameterError, Parameters, TABLE, Value, spelling};

/// A row of the table, and whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The camera whose own it is; `None` for all.
    pub camera: Option<&'a str>,
    /// What is declared of it.
    pub declaration: &'static Declaration,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.camera {
            Some(camera) => write!(f, "{camera}.{}", self.declaration.name),
            None => f.write_str(self.declaration.name),
        }
    }
}

impl Row<'_> {
    /// The value in the row's own type.
    pub(super) fn checked(&self, value: &Value) -> Result<Value, ParameterError> {
        let Declaration { kind, .. } = self.declaration;
        kind.accept(value).ok_or_else(|| ParameterError::NotAllowed {
            name: self.to_string(),
            value: value.to_string(),
            type_name: value.type_name(),
            allowed: kind.allowed(),
        })
    }
}

impl Parameters {
    /// The row that `name` means.
    pub(crate) fn row<'a>(&self, name: &'a str) -> Result<Row<'a>, ParameterError> {
        if let Some(declaration) = declared(name) {
            return Ok(Row { camera: None, declaration });
        }
        let cameras = self.read(&CAMERAS);
        let Some((camera, below)) = name.split_once('.').filter(|_| !cameras.is_empty()) else {
            return Err(no_parameter("", name));
        };
        match (cameras.iter().any(|known| known == camera), declared(below)) {
            (true, Some(declaration)) if declaration.each_camera => {
                Ok(Row { camera: Some(camera), declaration })
            }
            (true, Some(row)) => Err(ParameterError::Common { name: name.to_owned(), row: row.name }),
            (true, None) => Err(no_parameter(&format!("{camera}."), below)),
            (false, Some(row)) if row.each_camera => Err(ParameterError::Camera {
                name: name.to_owned(),
                camera: camera.to_owned(),
                cameras: format!("{cameras:?}"),
            }),
            (false, _) => Err(no_parameter("", name)),
        }
    }

    /// The names of all parameters: the rows of the table, then each camera's own.
    pub(crate) fn names(&self) -> Vec<String> {
        let own = TABLE.iter().filter(|row| row.each_camera);
        let cameras = self.read(&CAMERAS);
        let of_cameras =
            cameras.iter().flat_map(|camera| own.clone().map(move |row| format!("{camera}.{}", row.name)));
        TABLE.iter().map(|row| row.name.to_owned()).chain(of_cameras).collect()
    }

    /// Every value that is set or has a default, by its name.
    pub fn values(&self) -> impl Iterator<Item = (String, &Value)> {
        let own = self.own.iter().map(|((camera, row), value)| (format!("{camera}.{row}"), value));
        self.values.iter().map(|(name, value)| ((*name).to_owned(), value)).chain(own)
    }
}

fn declared(name: &str) -> Option<&'static Declaration> {
    TABLE.iter().find(|row| row.name == name)
}

/// No row is called `name`.
fn no_parameter(whose: &str, name: &str) -> ParameterError {
    let written = format!("{whose}{name}");
    match spelling::meant(name) {
        Some(meant) => ParameterError::Misspelt { name: written, meant: format!("{whose}{meant}") },
        None => ParameterError::Unknown { name: written },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bundle::Thresholds;
    use crate::watch::cameras::Camera;

    fn cameras() -> (&'static str, Value) {
        ("cameras", Value::Texts(vec!["front".to_owned(), "left".to_owned()]))
    }

    fn set(name: &'static str, value: f64) -> (&'static str, Value) {
        (name, Value::Double(value))
    }

    #[test]
    fn a_camera_has_its_own_value_and_else_that_of_all() {
        // In any order: which names there are depends on the cameras.
        let values = [set("left.threshold.failure", 0.4), cameras(), set("threshold.failure", 0.6)];
        let mut parameters = Parameters::with_overrides(values).unwrap();
        let failure = |parameters: &Parameters| {
            let [front, left] = &Camera::all(&["front".into(), "left".into()])[..] else { panic!() };
            [front, left].map(|camera| parameters.live_of(camera).thresholds.failure)
        };
        assert_eq!(failure(&parameters), [Some(0.6), Some(0.4)]);
        assert_eq!(parameters.get("front.threshold.failure"), Ok(&Value::Double(0.6)));
        parameters.set("threshold.failure", &Value::Double(0.7)).unwrap();
        assert_eq!(failure(&parameters), [Some(0.7), Some(0.4)]);
        parameters.set("front.threshold.failure", &Value::Double(0.8)).unwrap();
        assert_eq!(failure(&parameters), [Some(0.8), Some(0.4)]);
        // Left to the bundle again.
        parameters.set("left.threshold.failure", &Value::Double(-1.)).unwrap();
        assert_eq!(failure(&parameters), [Some(0.8), None]);
        assert_eq!(parameters.settings().live.thresholds.failure, Some(0.7));
        let names = parameters.names();
        assert!(names.contains(&"left.valid_mask".to_owned()) && !names.contains(&"left.bundle".to_owned()));
        assert!(names.iter().all(|name| parameters.get(name).is_ok()));
        assert!(parameters.values().any(|(name, _)| name == "front.threshold.failure"));
    }

    #[test]
    fn a_name_that_means_nothing_is_told_with_what_would() {
        let error = |name: &'static str| {
            let values = [cameras(), set(name, 0.4)];
            Parameters::with_overrides(values).map(|_| ()).unwrap_err().to_string()
        };
        for (name, said) in [
            ("left.threshold.failur", "left.threshold.failure does, and is likely meant"),
            ("left.bundle", "bundle is the same for all cameras"),
            ("rear.threshold.failure", r#"cameras is ["front", "left"], without rear"#),
            ("left.gain", "parameter left.gain does not exist; `ros2"),
            (
                "left.trigger_frames",
                "parameter left.trigger_frames is 0.4 (a real number); allowed is an integer",
            ),
        ] {
            assert!(error(name).contains(said), "{}", error(name));
        }
        // A node with one camera shares its file with others, who have such names.
        let (_, unknown) = Parameters::with_those_known([set("rear.threshold.failure", 0.4)]).unwrap();
        assert_eq!(unknown, ["rear.threshold.failure"]);
    }

    #[test]
    fn the_limits_of_each_camera_are_in_order() {
        let values = || [cameras(), set("threshold.failure", 0.6)];
        let wrong =
            Parameters::with_overrides(values().into_iter().chain([set("left.threshold.caution", 0.7)]));
        assert_eq!(
            wrong.unwrap_err().to_string(),
            "left.threshold.caution is 0.7 (set by hand) and left.threshold.failure 0.6 (set by hand); caution must not be above failure"
        );
        let mut parameters = Parameters::with_overrides(values()).unwrap();
        parameters
            .calibrate(&Thresholds { caution: 0.3, failure: 0.5, ..Thresholds::uncalibrated() })
            .unwrap();
        assert!(
            parameters.set("left.threshold.failure", &Value::Double(0.2)).is_err(),
            "the bundle's is 0.3"
        );
        assert!(
            parameters.set("left.valid_mask", &Value::Text("a.png".into())).is_err(),
            "at the start only"
        );
    }
}
