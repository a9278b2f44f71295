from blurpaper.cli import main

main()
