"""Fine-tuning on mixes of blurs: batches, objectives and one resumable loop (Sections 4.1 and 4.2)."""
