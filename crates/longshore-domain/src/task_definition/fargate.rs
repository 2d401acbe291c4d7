//! The sizes that Fargate offers (ecs-task-definitions C5).

/// CPU units; smallest and largest memory and its step, in MiB.
const SIZES: &[(u32, u32, u32, u32)] = &[
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];
/// The smallest size has a list of its own.
const SMALLEST: (u32, &[u32]) = (256, &[512, 1024, 2048]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FargateSizeError {
    #[error("Fargate requires that 'cpu' be defined at the task level.")]
    NoCpu,
    #[error("Fargate requires that 'memory' be defined at the task level.")]
    NoMemory,
    #[error("No Fargate configuration exists for given values.")]
    NoSuchSize,
}

/// Whether Fargate has this size. `cpu` in units, `memory` in MiB.
pub fn check_sizes(cpu: Option<u32>, memory: Option<u32>) -> Result<(), FargateSizeError> {
    let cpu = cpu.ok_or(FargateSizeError::NoCpu)?;
    let memory = memory.ok_or(FargateSizeError::NoMemory)?;
    let exists = if cpu == SMALLEST.0 {
        SMALLEST.1.contains(&memory)
    } else {
        SIZES.iter().any(|&(units, low, high, step)| {
            units == cpu && (low..=high).contains(&memory) && (memory - low).is_multiple_of(step)
        })
    };
    if exists { Ok(()) } else { Err(FargateSizeError::NoSuchSize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_published_pairs_exist() {
        for (cpu, memory) in [(256, 512), (256, 2048), (512, 3072), (4096, 30720), (16384, 122_880)] {
            assert_eq!(check_sizes(Some(cpu), Some(memory)), Ok(()), "{cpu}/{memory}");
        }
        for (cpu, memory) in [(256, 4096), (512, 512), (1024, 2049), (300, 512), (8192, 17408)] {
            assert_eq!(
                check_sizes(Some(cpu), Some(memory)),
                Err(FargateSizeError::NoSuchSize),
                "{cpu}/{memory}"
            );
        }
        assert_eq!(check_sizes(None, Some(512)), Err(FargateSizeError::NoCpu));
        assert_eq!(check_sizes(Some(256), None), Err(FargateSizeError::NoMemory));
    }
}
