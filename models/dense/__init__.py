"""Dense prediction: detection and segmentation."""
