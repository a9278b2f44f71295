"""Fine-tuning on mixes of blurs: batches, objectives and a resumable loop (Sections 4.1, 4.2)."""
