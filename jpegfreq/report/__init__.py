"""Reports: what decoding costs on one's own files, figures, and pages of HTML that hold all they show."""
