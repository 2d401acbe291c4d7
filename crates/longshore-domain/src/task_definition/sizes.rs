//! Task-level CPU and memory as ECS accepts them: as numbers or with a unit (ecs-task-definitions C2).

use super::Invalid;

/// The range of task-level CPU on EC2, in CPU units (ecs-behaviour Part X).
const CPU_UNITS_MIN: u32 = 128;
const CPU_UNITS_MAX: u32 = 196_608;

/// Reads `1024`, `1 vCPU` or `.5 vcpu` as CPU units.
///
/// # Errors
/// It is none of these forms, not a whole number of CPU units, or outside of what EC2 offers.
pub fn parse_cpu(text: &str) -> Result<u32, Invalid> {
    let units =
        quantity(text, &["vcpu"], 1024.0).filter(|units| (CPU_UNITS_MIN..=CPU_UNITS_MAX).contains(units));
    units.ok_or_else(|| {
        Invalid::new(
            "Invalid 'cpu' setting for task. For more information, see the Troubleshooting section of the Amazon \
             ECS Developer Guide.",
        )
    })
}

/// Reads `1024`, `1 GB` or `.5gb` as MiB.
///
/// # Errors
/// It is none of these forms, not a whole number of MiB, or 0.
pub fn parse_memory(text: &str) -> Result<u32, Invalid> {
    let mib = quantity(text, &["gb"], 1024.0).filter(|mib| *mib > 0);
    mib.ok_or_else(|| {
        Invalid::new(
            "Invalid 'memory' setting for task. For more information, see the Troubleshooting section of the Amazon \
             ECS Developer Guide.",
        )
    })
}

/// An integer alone, or a decimal number and one of `units` (in lower case), each worth `factor`. `None` unless the
/// result is a whole number.
fn quantity(text: &str, units: &[&str], factor: f64) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(number) = units.iter().find_map(|unit| text.strip_suffix(unit)) {
        let number = number.trim();
        let decimal = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value: f64 = number.parse().ok().filter(|_| decimal)?;
        let scaled = value * factor;
        return (scaled.fract() == 0.0 && scaled <= f64::from(u32::MAX)).then_some(scaled as u32);
    }
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, units) in
            [("1024", 1024), ("1 vCPU", 1024), (".5 vcpu", 512), ("0.25vCPU", 256), ("128", 128)]
        {
            assert_eq!(parse_cpu(text), Ok(units), "{text}");
        }
        for (text, mib) in [("1024", 1024), ("1 GB", 1024), ("0.5gb", 512), ("7", 7)] {
            assert_eq!(parse_memory(text), Ok(mib), "{text}");
        }
        for bad in ["", "x", "-1", "1e3", "127", "1.0", "196609", "inf vcpu", "nan vcpu"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
        assert!(parse_memory("0").is_err());
    }
}
