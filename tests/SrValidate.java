// Runs PixelMed's validator for SR templates over many files in one JVM, since starting one takes longer than a file.
// Prints "File <path>" before what it says about each. Run from source:
//   java -cp /usr/share/java/pixelmed.jar tests/SrValidate.java FILE...
import com.pixelmed.validate.DicomSRValidator;

public class SrValidate {
    public static void main(String[] files) throws Exception {
        // Its style sheets are larger than the JDK's limits allow.
        for (String limit : new String[] {"xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit"}) {
            System.setProperty("jdk.xml." + limit, "0");
        }
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("File " + file);
            System.out.println(validator.validate(file));
        }
    }
}
